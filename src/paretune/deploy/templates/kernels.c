/* kernel real */
/* A constant number. An AVR reads it from flash. */
static inline float KERNEL_real(const float *at) {
#ifdef __AVR__
  return pgm_read_float(at);
#else
  return *at;
#endif
}

/* kernel nearest */
static int32_t KERNEL_nearest(int32_t at, int32_t size) { return at < 0 ? 0 : at < size ? at : size - 1; }

/* kernel conv2d: in is (channels, height, width), out (maps, rows, columns), w (maps, fan, kh, kw), b (maps) or none.
   Map m reads the fan channels of its group. Each output is one sum over its window; zeros outside are skipped. */
static void KERNEL_conv2d(const float *in, float *out, const float *w, const float *b, int32_t channels, int32_t height,
                          int32_t width, int32_t maps, int32_t rows, int32_t columns, int32_t kh, int32_t kw,
                          int32_t sh, int32_t sw, int32_t ph, int32_t pw, int32_t groups) {
  const int32_t fan = channels / groups, per = maps / groups;
  for (int32_t m = 0; m < maps; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        float sum = b ? KERNEL_real(b + m) : 0.0f;
        for (int32_t f = 0; f < fan; f++)
          for (int32_t y = 0; y < kh; y++) {
            const int32_t row = r * sh + y - ph;
            if (row < 0 || row >= height) continue;
            for (int32_t x = 0; x < kw; x++) {
              const int32_t column = c * sw + x - pw;
              if (column < 0 || column >= width) continue;
              sum += in[((m / per * fan + f) * height + row) * width + column] *
                     KERNEL_real(w + ((m * fan + f) * kh + y) * kw + x);
            }
          }
        out[(m * rows + r) * columns + c] = sum;
      }
}

/* kernel linear: in is (inputs), out (outputs), w (outputs, inputs), b (outputs) or none: one row of w for each
   output. */
static void KERNEL_linear(const float *in, float *out, const float *w, const float *b, int32_t inputs,
                          int32_t outputs) {
  for (int32_t o = 0; o < outputs; o++) {
    float sum = b ? KERNEL_real(b + o) : 0.0f;
    for (int32_t i = 0; i < inputs; i++) sum += in[i] * KERNEL_real(w + o * inputs + i);
    out[o] = sum;
  }
}

/* kernel max_pool2d: in is (channels, height, width), out (channels, rows, columns): each output is the largest of
   its window. */
static void KERNEL_max_pool2d(const float *in, float *out, int32_t channels, int32_t height, int32_t width,
                              int32_t rows, int32_t columns, int32_t kh, int32_t kw, int32_t sh, int32_t sw, int32_t ph,
                              int32_t pw) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        float best = -INFINITY;
        for (int32_t y = 0; y < kh; y++)
          for (int32_t x = 0; x < kw; x++) {
            const int32_t row = r * sh + y - ph, column = c * sw + x - pw;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const float value = in[(m * height + row) * width + column];
            if (value > best) best = value;
          }
        out[(m * rows + r) * columns + c] = best;
      }
}

/* kernel mean_pool2d: in is (channels, height, width), out (channels, rows, columns): each output is the mean of its
   window. */
static void KERNEL_mean_pool2d(const float *in, float *out, int32_t channels, int32_t height, int32_t width,
                               int32_t rows, int32_t columns, int32_t kh, int32_t kw, int32_t sh, int32_t sw) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        float sum = 0.0f;
        for (int32_t y = 0; y < kh; y++)
          for (int32_t x = 0; x < kw; x++) sum += in[(m * height + r * sh + y) * width + c * sw + x];
        out[(m * rows + r) * columns + c] = sum / (float)(kh * kw);
      }
}

/* kernel image: pixels is (columns), step numbers apart: a row of a channel; out is (channels, rows, columns): each pixel, as
   a number in [0, 1], times a factor. */
static void KERNEL_image(const INPUT *pixels, int32_t step, int32_t row, int32_t channel, float *out, int32_t rows,
                         int32_t columns, float factor) {
  for (int32_t c = 0; c < columns; c++)
    out[(channel * rows + row) * columns + c] = PIXEL(pixels[c * step], channel) / UNIT * factor;
}

/* kernel squares: pixels is (width), step numbers apart: a row of a channel; out is (channels, rows, columns). Each output
   adds up the pixels of its window, down rows and across columns, the last row of which makes it their mean in [0, 1].
   Rows below the last window are not read. */
static void KERNEL_squares(const INPUT *pixels, int32_t step, int32_t row, int32_t channel, float *out, int32_t rows,
                           int32_t columns, int32_t down, int32_t across) {
  if (row >= rows * down) return;
  float *const means = out + (channel * rows + row / down) * columns;
  for (int32_t c = 0; c < columns; c++) {
    float sum = row % down ? means[c] : 0.0f;
    for (int32_t x = 0; x < across; x++) sum += PIXEL(pixels[(c * across + x) * step], channel);
    means[c] = row % down == down - 1 ? sum / (UNIT * (float)(down * across)) : sum;
  }
}

/* kernel pad: in is (channels, height, width), out (maps, rows, columns); in begins at (front, top, left) of out.
   Negative ones cut. Places outside of in hold value, or, with repeat, the nearest of in. */
static void KERNEL_pad(const float *in, float *out, int32_t channels, int32_t height, int32_t width, int32_t maps,
                       int32_t rows, int32_t columns, int32_t front, int32_t top, int32_t left, int32_t repeat,
                       float value) {
  for (int32_t m = 0; m < maps; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        const int32_t map = KERNEL_nearest(m - front, channels), row = KERNEL_nearest(r - top, height);
        const int32_t column = KERNEL_nearest(c - left, width);
        const int32_t inside = map == m - front && row == r - top && column == c - left;
        out[(m * rows + r) * columns + c] = inside || repeat ? in[(map * height + row) * width + column] : value;
      }
}

/* kernel affine: in and out are (channels, size), factor and shift (channels); in may be out. */
static void KERNEL_affine(const float *in, float *out, const float *factor, const float *shift, int32_t channels,
                          int32_t size) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t i = 0; i < size; i++)
      out[m * size + i] = in[m * size + i] * KERNEL_real(factor + m) + KERNEL_real(shift + m);
}

/* kernel map_mean: in is (channels, size), out (channels). */
static void KERNEL_map_mean(const float *in, float *out, int32_t channels, int32_t size) {
  for (int32_t m = 0; m < channels; m++) {
    float sum = 0.0f;
    for (int32_t i = 0; i < size; i++) sum += in[m * size + i];
    out[m] = sum / (float)size;
  }
}

/* kernel relu: in and out are (size); in may be out, as in all functions that go value by value. */
static void KERNEL_relu(const float *in, float *out, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] > 0.0f ? in[i] : 0.0f;
}

/* kernel leaky_relu: in and out are (size). */
static void KERNEL_leaky_relu(const float *in, float *out, int32_t size, float slope) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] > 0.0f ? in[i] : in[i] * slope;
}

/* kernel prelu: in and out are (channels, size), slopes (channels) or one. */
static void KERNEL_prelu(const float *in, float *out, const float *slopes, int32_t slope_count, int32_t channels,
                         int32_t size) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t i = 0; i < size; i++) {
      const float value = in[m * size + i];
      out[m * size + i] = value > 0.0f ? value : value * KERNEL_real(slopes + (slope_count > 1 ? m : 0));
    }
}

/* kernel silu: in and out are (size). */
static void KERNEL_silu(const float *in, float *out, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] / (1.0f + expf(-in[i]));
}

/* kernel mul: in and out are (size). */
static void KERNEL_mul(const float *in, float *out, int32_t size, float by) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] * by;
}

/* kernel add: in and out are (size). */
static void KERNEL_add(const float *in, float *out, int32_t size, float by) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] + by;
}

/* kernel add_values: in, other and out are (size). */
static void KERNEL_add_values(const float *in, const float *other, float *out, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] + other[i];
}

/* kernel mul_values: in, other and out are (size). */
static void KERNEL_mul_values(const float *in, const float *other, float *out, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i] * other[i];
}

/* kernel cat: in and out are (size): a copy of whole maps to their place among others. */
static void KERNEL_cat(const float *in, float *out, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = in[i];
}

/* kernel normalise: in and out are (size): three passes, for the mean, the deviation and the values. */
static void KERNEL_normalise(const float *in, float *out, int32_t size, float eps) {
  float mean = 0.0f, square = 0.0f;
  for (int32_t i = 0; i < size; i++) mean += in[i] / (float)size;
  for (int32_t i = 0; i < size; i++) square += (in[i] - mean) * (in[i] - mean) / (float)size;
  const float factor = 1.0f / sqrtf(square + eps);
  for (int32_t i = 0; i < size; i++) out[i] = (in[i] - mean) * factor;
}

/* kernel group_norm: in and out are (channels, size), w and b (channels) or none; a group is channels / groups maps
   in a row. */
static void KERNEL_group_norm(const float *in, float *out, const float *w, const float *b, int32_t channels,
                              int32_t size, int32_t groups, float eps) {
  const int32_t part = channels / groups * size;
  for (int32_t g = 0; g < groups; g++) KERNEL_normalise(in + g * part, out + g * part, part, eps);
  for (int32_t m = 0; m < channels; m++)
    for (int32_t i = 0; i < size; i++)
      out[m * size + i] = out[m * size + i] * (w ? KERNEL_real(w + m) : 1.0f) + (b ? KERNEL_real(b + m) : 0.0f);
}

/* kernel instance_norm: in and out are (channels, size), w and b (channels) or none. */
static void KERNEL_instance_norm(const float *in, float *out, const float *w, const float *b, int32_t channels,
                                 int32_t size, float eps) {
  for (int32_t m = 0; m < channels; m++) {
    KERNEL_normalise(in + m * size, out + m * size, size, eps);
    for (int32_t i = 0; i < size; i++)
      out[m * size + i] = out[m * size + i] * (w ? KERNEL_real(w + m) : 1.0f) + (b ? KERNEL_real(b + m) : 0.0f);
  }
}

/* kernel layer_norm: in and out are (size), w and b (size) or none. */
static void KERNEL_layer_norm(const float *in, float *out, const float *w, const float *b, int32_t size, float eps) {
  KERNEL_normalise(in, out, size, eps);
  for (int32_t i = 0; i < size; i++)
    out[i] = out[i] * (w ? KERNEL_real(w + i) : 1.0f) + (b ? KERNEL_real(b + i) : 0.0f);
}

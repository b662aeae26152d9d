/* kernel byte */
/* A constant number. An AVR reads it from flash. */
static inline int8_t KERNEL_byte(const int8_t *at) {
#ifdef __AVR__
  return (int8_t)pgm_read_byte(at);
#else
  return *at;
#endif
}

/* kernel long */
static inline int32_t KERNEL_long(const int32_t *at) {
#ifdef __AVR__
  return (int32_t)pgm_read_dword(at);
#else
  return *at;
#endif
}

/* kernel scaled */
/* value * factor / 2^shift, to the nearest whole number; up to 2^62, so it is clipped before it is made smaller. */
static inline int64_t KERNEL_scaled(int32_t value, int32_t factor, int32_t shift) {
  return ((int64_t)value * factor + (INT64_C(1) << (shift - 1))) >> shift;
}

/* kernel clipped */
static inline int8_t KERNEL_clipped(int64_t value) {
  return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* kernel rounded */
/* A sum in steps of the next values, which below 0 is multiplied by slope / 2^24. */
static inline int8_t KERNEL_rounded(int32_t sum, int32_t factor, int32_t shift, int32_t zero, int32_t slope) {
  if ((sum < 0) != (factor < 0)) factor = (int32_t)KERNEL_scaled(factor, slope, 24);
  return KERNEL_clipped(KERNEL_scaled(sum, factor, shift) + zero);
}

/* kernel fine */
/* product / 2^shift in 1/2^16 of a step. */
static inline int64_t KERNEL_fine(int64_t product, int32_t shift) {
  if (shift < 16) return product * (INT64_C(1) << (16 - shift));
  return product >> (shift < 16 + 63 ? shift - 16 : 63);
}

/* kernel sloped */
/* The same of what is in 1/2^16 of a step: the upper bits times the slope, then the lower 24, so that no product overflows. */
static inline int8_t KERNEL_sloped(int64_t fine, int32_t zero, int32_t slope) {
  if (fine < 0) fine = (fine >> 24) * slope + (((fine & INT64_C(0xFFFFFF)) * slope) >> 24);
  return KERNEL_clipped(((fine + INT64_C(0x8000)) >> 16) + zero);
}

/* kernel kept */
static inline int32_t KERNEL_kept(int32_t sum, int32_t factor, int32_t shift, int32_t zero, int32_t slope) {
  (void)slope;
  return (int32_t)(KERNEL_scaled(sum, factor, shift) + zero);
}

/* kernel image: pixels is (columns), step numbers apart: a row of a channel; out is (channels, rows, columns). */
static void KERNEL_image(const INPUT *pixels, int32_t step, int32_t row, int32_t channel, int8_t *out, int32_t rows,
                         int32_t columns, int32_t factor, int64_t offset, int32_t shift) {
  for (int32_t c = 0; c < columns; c++) {
    const int64_t fine = (int64_t)PIXEL(pixels[c * step], channel) * factor + offset;
    out[(channel * rows + row) * columns + c] = KERNEL_clipped(fine >> shift);
  }
}

/* kernel squares: pixels is (width), step numbers apart: a row of a channel; out is (channels, rows, columns), sums
   (channels, 2, columns): the lower and the upper bytes of the sums of the windows, down rows and across columns, that are
   not complete. The last row brings the sum of a window to the steps of its mean, rounded once. Rows below the last window
   are not read. */
static void KERNEL_squares(const INPUT *pixels, int32_t step, int32_t row, int32_t channel, int8_t *out, int8_t *sums,
                           int32_t rows, int32_t columns, int32_t down, int32_t across, int32_t factor,
                           int64_t offset, int32_t shift) {
  if (row >= rows * down) return;
  int8_t *const means = out + (channel * rows + row / down) * columns;
  uint8_t *const lower = (uint8_t *)sums + 2 * channel * columns, *const upper = lower + columns;
  for (int32_t c = 0; c < columns; c++) {
    int32_t sum = row % down ? lower[c] + INT32_C(256) * upper[c] : 0;
    for (int32_t x = 0; x < across; x++) sum += PIXEL(pixels[(c * across + x) * step], channel);
    lower[c] = (uint8_t)(sum & 255);
    upper[c] = (uint8_t)(sum >> 8);
    if (row % down == down - 1) means[c] = KERNEL_clipped(((int64_t)sum * factor + offset) >> shift);
  }
}

/* kernel conv2d: in is (channels, height, width), out (maps, rows, columns), w (maps, fan, kh, kw), b, factors and
   shifts (maps). Map m reads the fan channels of its group. What in has for 0 is zero_in: outside of in nothing is
   added. */
static void KERNEL_conv2d(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int32_t zero_in, int32_t zero_out, int32_t slope, int32_t channels,
                          int32_t height, int32_t width, int32_t maps, int32_t rows, int32_t columns, int32_t kh,
                          int32_t kw, int32_t sh, int32_t sw, int32_t ph, int32_t pw, int32_t groups) {
  const int32_t fan = channels / groups, per = maps / groups;
  for (int32_t m = 0; m < maps; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        int32_t sum = KERNEL_long(b + m);
        for (int32_t f = 0; f < fan; f++)
          for (int32_t y = 0; y < kh; y++) {
            const int32_t row = r * sh + y - ph;
            if (row < 0 || row >= height) continue;
            for (int32_t x = 0; x < kw; x++) {
              const int32_t column = c * sw + x - pw;
              if (column < 0 || column >= width) continue;
              const int32_t value = in[((m / per * fan + f) * height + row) * width + column] - zero_in;
              sum += value * KERNEL_byte(w + ((m * fan + f) * kh + y) * kw + x);
            }
          }
        out[(m * rows + r) * columns + c] =
          STORE(sum, KERNEL_long(factors + m), KERNEL_byte(shifts + m), zero_out, slope);
      }
}

/* kernel linear: in is (inputs), out (outputs), w (outputs, inputs), b, factors and shifts (outputs). */
static void KERNEL_linear(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int32_t zero_in, int32_t zero_out, int32_t slope, int32_t inputs,
                          int32_t outputs) {
  for (int32_t o = 0; o < outputs; o++) {
    int32_t sum = KERNEL_long(b + o);
    for (int32_t i = 0; i < inputs; i++) sum += (in[i] - zero_in) * KERNEL_byte(w + o * inputs + i);
    out[o] = STORE(sum, KERNEL_long(factors + o), KERNEL_byte(shifts + o), zero_out, slope);
  }
}

/* kernel map_mean: in is (maps, size), out (maps). */
static void KERNEL_map_mean(const int8_t *in, OUT *out, int32_t factor, int32_t shift, int32_t zero_in,
                            int32_t zero_out, int32_t slope, int32_t maps, int32_t size) {
  for (int32_t m = 0; m < maps; m++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < size; i++) sum += in[m * size + i] - zero_in;
    out[m] = STORE(sum, factor, shift, zero_out, slope);
  }
}

/* kernel max_pool2d: in is (channels, height, width), out (channels, rows, columns): each output is the largest of
   its window. */
static void KERNEL_max_pool2d(const int8_t *in, int8_t *out, int32_t channels, int32_t height, int32_t width,
                              int32_t rows, int32_t columns, int32_t kh, int32_t kw, int32_t sh, int32_t sw, int32_t ph,
                              int32_t pw) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t r = 0; r < rows; r++)
      for (int32_t c = 0; c < columns; c++) {
        int8_t best = -128;
        for (int32_t y = 0; y < kh; y++)
          for (int32_t x = 0; x < kw; x++) {
            const int32_t row = r * sh + y - ph, column = c * sw + x - pw;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const int8_t value = in[(m * height + row) * width + column];
            if (value > best) best = value;
          }
        out[(m * rows + r) * columns + c] = best;
      }
}

/* kernel cat: in and out are (size): a copy of whole maps to their place, in the steps of out; in may be out. */
static void KERNEL_cat(const int8_t *in, int8_t *out, int32_t size, int32_t zero_in, int32_t zero_out, int32_t factor,
                       int32_t shift) {
  for (int32_t i = 0; i < size; i++) out[i] = KERNEL_clipped(KERNEL_scaled(in[i] - zero_in, factor, shift) + zero_out);
}

/* kernel affine: in and out are (channels, size), factors, shifts and added (channels); in may be out. */
/* Each channel times a factor, plus a number, which is in 1/2^16 of a step. */
static void KERNEL_affine(const int8_t *in, int8_t *out, const int32_t *factors, const int8_t *shifts,
                          const int32_t *added, int32_t zero_in, int32_t zero_out, int32_t slope, int32_t channels,
                          int32_t size) {
  for (int32_t m = 0; m < channels; m++)
    for (int32_t i = 0; i < size; i++) {
      const int64_t product = (int64_t)(in[m * size + i] - zero_in) * KERNEL_long(factors + m);
      const int64_t fine = KERNEL_fine(product, KERNEL_byte(shifts + m)) + KERNEL_long(added + m);
      out[m * size + i] = KERNEL_sloped(fine, zero_out, slope);
    }
}

/* kernel layer_norm: in and out are (size): one pass for the sum and the squares, a root bit by bit, one pass for the
   values. */
/* All values to mean 0 and deviation 1, times a factor, plus a number, which is in 1/2^16 of a step. */
static void KERNEL_layer_norm(const int8_t *in, int8_t *out, int32_t factor, int32_t shift, int32_t added, int64_t eps,
                              int32_t zero_out, int32_t slope, int32_t size) {
  int64_t sum = 0, squares = 0;
  for (int32_t i = 0; i < size; i++) {
    sum += in[i];
    squares += (int32_t)in[i] * in[i];
  }
  uint64_t spread = (uint64_t)(size * squares - sum * sum + eps), root = 0; /* (size * deviation)^2 */
  int32_t halvings = 0;
  for (; spread < UINT64_C(1) << 62; spread <<= 2) halvings++;
  for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= spread) root |= bit;
  const int32_t whole = (int32_t)(((int64_t)factor * (INT64_C(1) << 31)) / (int64_t)root);
  for (int32_t i = 0; i < size; i++) {
    const int64_t product = ((int64_t)size * in[i] - sum) * whole;
    out[i] = KERNEL_sloped(KERNEL_fine(product, shift + 31 - halvings) + added, zero_out, slope);
  }
}

/* kernel leaky_relu: in and out are (size); in may be out. */
static void KERNEL_leaky_relu(const int8_t *in, int8_t *out, int32_t zero_in, int32_t zero_out, int32_t size,
                              int32_t factor, int32_t shift, int32_t slope) {
  for (int32_t i = 0; i < size; i++) out[i] = KERNEL_rounded(in[i] - zero_in, factor, shift, zero_out, slope);
}

/* kernel table: in and out are (size), values (256), from what -128 becomes to what 127 becomes. */
static void KERNEL_table(const int8_t *in, int8_t *out, const int8_t *values, int32_t size) {
  for (int32_t i = 0; i < size; i++) out[i] = KERNEL_byte(values + in[i] + 128);
}

/* kernel add_values: a, b and out are (size). */
static void KERNEL_add_values(const int8_t *a, const int8_t *b, int8_t *out, int32_t size, int32_t zero_a,
                              int32_t zero_b, int32_t zero_out, int32_t factor_a, int32_t factor_b, int32_t shift,
                              int32_t slope) {
  for (int32_t i = 0; i < size; i++) {
    const int64_t sum = (int64_t)(a[i] - zero_a) * factor_a + (int64_t)(b[i] - zero_b) * factor_b;
    out[i] = KERNEL_sloped(KERNEL_fine(sum, shift), zero_out, slope);
  }
}

/* kernel mul_values: a, b and out are (size). */
static void KERNEL_mul_values(const int8_t *a, const int8_t *b, int8_t *out, int32_t size, int32_t zero_a,
                              int32_t zero_b, int32_t zero_out, int32_t factor, int32_t shift, int32_t slope) {
  for (int32_t i = 0; i < size; i++)
    out[i] = KERNEL_rounded((a[i] - zero_a) * (b[i] - zero_b), factor, shift, zero_out, slope);
}

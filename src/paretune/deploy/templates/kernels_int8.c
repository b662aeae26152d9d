/* kernel scaled */
/* value * factor / 2^shift, to the nearest whole number. */
static inline int32_t KERNEL_scaled(int32_t value, int32_t factor, int shift) {
  return (int32_t)(((int64_t)value * factor + ((int64_t)1 << (shift - 1))) >> shift);
}

/* kernel clipped */
static inline int8_t KERNEL_clipped(int32_t value) {
  return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* kernel rounded */
/* A sum in steps of the next values, which below 0 is multiplied by slope / 2^24. */
static inline int8_t KERNEL_rounded(int32_t sum, int32_t factor, int shift, int zero, int32_t slope) {
  if ((sum < 0) != (factor < 0)) factor = KERNEL_scaled(factor, slope, 24);
  return KERNEL_clipped(KERNEL_scaled(sum, factor, shift) + zero);
}

/* kernel sloped */
/* The same of what is in 1/2^16 of a step. */
static inline int8_t KERNEL_sloped(int64_t fine, int zero, int32_t slope) {
  if (fine < 0) fine = (fine * slope) >> 24;
  return KERNEL_clipped((int32_t)((fine + (1 << 15)) >> 16) + zero);
}

/* kernel kept */
static inline int32_t KERNEL_kept(int32_t sum, int32_t factor, int shift, int zero, int32_t slope) {
  (void)slope;
  return KERNEL_scaled(sum, factor, shift) + zero;
}

/* kernel image */
static void KERNEL_image(const uint8_t *pixels, int8_t *out, int size, int32_t factor, int64_t offset, int shift) {
  for (int i = 0; i < size; i++) out[i] = KERNEL_clipped((int32_t)((pixels[i] * (int64_t)factor + offset) >> shift));
}

/* kernel conv2d */
static void KERNEL_conv2d(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int zero_in, int zero_out, int32_t slope, int channels, int height, int width,
                          int maps, int rows, int columns, int kh, int kw, int sh, int sw, int ph, int pw, int groups) {
  const int fan = channels / groups, per = maps / groups;
  for (int m = 0; m < maps; m++)
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < columns; c++) {
        int32_t sum = b[m];
        for (int f = 0; f < fan; f++)
          for (int y = 0; y < kh; y++) {
            const int row = r * sh + y - ph;
            if (row < 0 || row >= height) continue;
            for (int x = 0; x < kw; x++) {
              const int column = c * sw + x - pw;
              if (column < 0 || column >= width) continue;
              sum += (in[((m / per * fan + f) * height + row) * width + column] - zero_in) * w[((m * fan + f) * kh + y) * kw + x];
            }
          }
        out[(m * rows + r) * columns + c] = STORE(sum, factors[m], shifts[m], zero_out, slope);
      }
}

/* kernel linear */
static void KERNEL_linear(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int zero_in, int zero_out, int32_t slope, int inputs, int outputs) {
  for (int o = 0; o < outputs; o++) {
    int32_t sum = b[o];
    for (int i = 0; i < inputs; i++) sum += (in[i] - zero_in) * w[o * inputs + i];
    out[o] = STORE(sum, factors[o], shifts[o], zero_out, slope);
  }
}

/* kernel map_mean */
static void KERNEL_map_mean(const int8_t *in, OUT *out, int32_t factor, int shift, int zero_in, int zero_out,
                            int32_t slope, int maps, int size) {
  for (int m = 0; m < maps; m++) {
    int32_t sum = 0;
    for (int i = 0; i < size; i++) sum += in[m * size + i] - zero_in;
    out[m] = STORE(sum, factor, shift, zero_out, slope);
  }
}

/* kernel max_pool2d */
static void KERNEL_max_pool2d(const int8_t *in, int8_t *out, int channels, int height, int width, int rows, int columns,
                              int kh, int kw, int sh, int sw, int ph, int pw) {
  for (int m = 0; m < channels; m++)
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < columns; c++) {
        int best = -128;
        for (int y = 0; y < kh; y++)
          for (int x = 0; x < kw; x++) {
            const int row = r * sh + y - ph, column = c * sw + x - pw;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const int value = in[(m * height + row) * width + column];
            if (value > best) best = value;
          }
        out[(m * rows + r) * columns + c] = (int8_t)best;
      }
}

/* kernel cat */
static void KERNEL_cat(const int8_t *in, int8_t *out, int size, int zero_in, int zero_out, int32_t factor, int shift) {
  for (int i = 0; i < size; i++) out[i] = KERNEL_clipped(KERNEL_scaled(in[i] - zero_in, factor, shift) + zero_out);
}

/* kernel affine */
/* Each channel times a factor, plus a number, which is in 1/2^16 of a step. */
static void KERNEL_affine(const int8_t *in, int8_t *out, const int32_t *factors, const int8_t *shifts, const int32_t *added,
                          int zero_in, int zero_out, int32_t slope, int channels, int size) {
  for (int m = 0; m < channels; m++)
    for (int i = 0; i < size; i++) {
      const int64_t product = (int64_t)(in[m * size + i] - zero_in) * factors[m];
      out[m * size + i] = KERNEL_sloped((product >> (shifts[m] - 16)) + added[m], zero_out, slope);
    }
}

/* kernel layer_norm */
/* All values to mean 0 and deviation 1, times a factor, plus a number, which is in 1/2^16 of a step. */
static void KERNEL_layer_norm(const int8_t *in, int8_t *out, int32_t factor, int shift, int32_t added, int64_t eps, int zero_out,
                              int32_t slope, int size) {
  int64_t sum = 0, squares = 0;
  for (int i = 0; i < size; i++) {
    sum += in[i];
    squares += in[i] * in[i];
  }
  uint64_t spread = (uint64_t)(size * squares - sum * sum + eps), root = 0; /* (size * deviation)^2 */
  int halvings = 0;
  for (; spread < UINT64_C(1) << 62; spread <<= 2) halvings++;
  for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
    if ((root | bit) * (root | bit) <= spread) root |= bit;
  const int32_t whole = (int32_t)(((int64_t)factor * (INT64_C(1) << 31)) / (int64_t)root);
  for (int i = 0; i < size; i++) {
    const int64_t product = (size * in[i] - sum) * whole;
    out[i] = KERNEL_sloped((product >> (shift + 31 - halvings - 16)) + added, zero_out, slope);
  }
}

/* kernel leaky_relu */
static void KERNEL_leaky_relu(const int8_t *in, int8_t *out, int zero_in, int zero_out, int size, int32_t factor, int shift,
                              int32_t slope) {
  for (int i = 0; i < size; i++) out[i] = KERNEL_rounded(in[i] - zero_in, factor, shift, zero_out, slope);
}

/* kernel table */
static void KERNEL_table(const int8_t *in, int8_t *out, const int8_t *values, int size) {
  for (int i = 0; i < size; i++) out[i] = values[in[i] + 128];
}

/* kernel add_values */
static void KERNEL_add_values(const int8_t *a, const int8_t *b, int8_t *out, int size, int zero_a, int zero_b, int zero_out,
                              int32_t factor_a, int32_t factor_b, int shift, int32_t slope) {
  for (int i = 0; i < size; i++) {
    const int64_t sum = (int64_t)(a[i] - zero_a) * factor_a + (int64_t)(b[i] - zero_b) * factor_b;
    out[i] = KERNEL_sloped(sum >> shift, zero_out, slope);
  }
}

/* kernel mul_values */
static void KERNEL_mul_values(const int8_t *a, const int8_t *b, int8_t *out, int size, int zero_a, int zero_b, int zero_out,
                              int32_t factor, int shift, int32_t slope) {
  for (int i = 0; i < size; i++)
    out[i] = KERNEL_rounded((a[i] - zero_a) * (b[i] - zero_b), factor, shift, zero_out, slope);
}

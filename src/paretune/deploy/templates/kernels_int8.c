/* kernel scaled */
/* value * factor / 2^shift, to the nearest whole number. */
static inline int32_t KERNEL_scaled(int32_t value, int32_t factor, int shift) {
  return (int32_t)(((int64_t)value * factor + ((int64_t)1 << (shift - 1))) >> shift);
}

/* kernel clipped */
static inline int8_t KERNEL_clipped(int32_t value, int least) {
  return (int8_t)(value < least ? least : value > 127 ? 127 : value);
}

/* kernel kept */
static inline int32_t KERNEL_kept(int32_t value, int least) {
  (void)least;
  return value;
}

/* kernel image */
static void KERNEL_image(const uint8_t *pixels, int8_t *out, int size, int32_t factor, int64_t offset, int shift) {
  for (int i = 0; i < size; i++) out[i] = KERNEL_clipped((int32_t)((pixels[i] * (int64_t)factor + offset) >> shift), -128);
}

/* kernel conv2d */
static void KERNEL_conv2d(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int zero_in, int zero_out, int least, int channels, int height, int width,
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
        out[(m * rows + r) * columns + c] = STORE(KERNEL_scaled(sum, factors[m], shifts[m]) + zero_out, least);
      }
}

/* kernel linear */
static void KERNEL_linear(const int8_t *in, OUT *out, const int8_t *w, const int32_t *b, const int32_t *factors,
                          const int8_t *shifts, int zero_in, int zero_out, int least, int inputs, int outputs) {
  for (int o = 0; o < outputs; o++) {
    int32_t sum = b[o];
    for (int i = 0; i < inputs; i++) sum += (in[i] - zero_in) * w[o * inputs + i];
    out[o] = STORE(KERNEL_scaled(sum, factors[o], shifts[o]) + zero_out, least);
  }
}

/* kernel map_mean */
static void KERNEL_map_mean(const int8_t *in, OUT *out, int32_t factor, int shift, int zero_in, int zero_out, int least,
                            int maps, int size) {
  for (int m = 0; m < maps; m++) {
    int32_t sum = 0;
    for (int i = 0; i < size; i++) sum += in[m * size + i] - zero_in;
    out[m] = STORE(KERNEL_scaled(sum, factor, shift) + zero_out, least);
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
  for (int i = 0; i < size; i++) out[i] = KERNEL_clipped(KERNEL_scaled(in[i] - zero_in, factor, shift) + zero_out, -128);
}

/* kernel affine */
/* Each channel times a factor, plus a number, which is in 1/256 of a step. */
static void KERNEL_affine(const int8_t *in, int8_t *out, const int32_t *factors, const int8_t *shifts, const int32_t *added,
                          int zero_in, int least, int channels, int size) {
  for (int m = 0; m < channels; m++)
    for (int i = 0; i < size; i++) {
      const int32_t fine = KERNEL_scaled(in[m * size + i] - zero_in, factors[m], shifts[m] - 8) + added[m];
      out[m * size + i] = KERNEL_clipped((fine + 128) >> 8, least);
    }
}

/* kernel leaky_relu */
static void KERNEL_leaky_relu(const int8_t *in, int8_t *out, int zero_in, int zero_out, int size, int32_t negative,
                              int negative_shift, int32_t positive, int positive_shift) {
  for (int i = 0; i < size; i++) {
    const int value = in[i] - zero_in;
    const int32_t scaled = value < 0 ? KERNEL_scaled(value, negative, negative_shift) : KERNEL_scaled(value, positive, positive_shift);
    out[i] = KERNEL_clipped(scaled + zero_out, -128);
  }
}

/* kernel table */
static void KERNEL_table(const int8_t *in, int8_t *out, const int8_t *values, int size) {
  for (int i = 0; i < size; i++) out[i] = values[in[i] + 128];
}

/* kernel add_values */
static void KERNEL_add_values(const int8_t *a, const int8_t *b, int8_t *out, int size, int zero_a, int zero_b, int zero_out,
                              int32_t factor_a, int32_t factor_b, int shift, int least) {
  const int64_t half = (int64_t)1 << (shift - 1);
  for (int i = 0; i < size; i++) {
    const int64_t sum = (int64_t)(a[i] - zero_a) * factor_a + (int64_t)(b[i] - zero_b) * factor_b;
    out[i] = KERNEL_clipped((int32_t)((sum + half) >> shift) + zero_out, least);
  }
}

/* kernel mul_values */
static void KERNEL_mul_values(const int8_t *a, const int8_t *b, int8_t *out, int size, int zero_a, int zero_b, int zero_out,
                              int32_t factor, int shift, int least) {
  for (int i = 0; i < size; i++)
    out[i] = KERNEL_clipped(KERNEL_scaled((a[i] - zero_a) * (b[i] - zero_b), factor, shift) + zero_out, least);
}

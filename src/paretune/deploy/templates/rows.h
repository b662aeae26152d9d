static inline void {{ name }}_row(int32_t row, int32_t channel, const uint8_t *pixels, int32_t step) {
  {{ number }} *const memory = {{ name }}_memory;
  {{ internal }}squares(pixels, step, row, channel, {{ rows }});
}

static inline int32_t {{ name }}_finish({{ logit }} *logits) {
  int32_t best = 0;
  {{ internal }}network(logits);
  for (int32_t i = 1; i < {{ classes }}; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

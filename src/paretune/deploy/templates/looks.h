/* The mean over {{ views }} copies of the image, moved by up to {{ reach.longest }} pixels; what comes in repeats the edge. */
static void {{ name }}_logits(const {{ pixel }} *image, {{ logit }} *logits) {
  static {{ pixel }} moved[{{ layout.size }}];
  static {{ total }} total[{{ classes }}];
  for (int32_t i = 0; i < {{ classes }}; i++) total[i] = 0;
  for (int32_t down = -{{ reach.rows }}; down <= {{ reach.rows }}; down++)
    for (int32_t right = -{{ reach.columns }}; right <= {{ reach.columns }}; right++) {
      if ((down < 0 ? -down : down) + (right < 0 ? -right : right) > {{ reach.longest }}) continue;
      for (int32_t i = 0; i < {{ layout.size }}; i++) {
        const int32_t r = i / {{ layout.width }} % {{ layout.height }} + down, c = i % {{ layout.width }} + right;
        const int32_t row = r < 0 ? 0 : r < {{ layout.height }} ? r : {{ layout.height - 1 }};
        const int32_t column = c < 0 ? 0 : c < {{ layout.width }} ? c : {{ layout.width - 1 }};
        moved[i] = image[(i / {{ layout.height * layout.width }} * {{ layout.height }} + row) * {{ layout.width }} + column];
      }
      {{ name }}_once(moved, logits);
      for (int32_t i = 0; i < {{ classes }}; i++) total[i] += logits[i];
    }
  for (int32_t i = 0; i < {{ classes }}; i++) logits[i] = ({{ logit }})(total[i] / {{ views }});
}

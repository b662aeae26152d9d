/* The mean over {{ views }} copies of the image, moved by up to {{ reach.longest }} pixels; what comes in repeats the edge. */
int32_t {{ name }}_predict(const {{ layout.c_input.ctype }} *image, {{ logit }} *logits, void *memory) {
  {{ block }} *const total = {{ internal }}place(memory);
  if (!total) return -1;
  {{ number }} *const block = ({{ number }} *)(total + {{ classes }});
  {{ taken.ctype }} *const moved = ({{ taken.ctype }} *)(block + {{ memory }});
  for (int32_t i = 0; i < {{ classes }}; i++) total[i] = 0;
  for (int32_t down = -{{ reach.rows }}; down <= {{ reach.rows }}; down++)
    for (int32_t right = -{{ reach.columns }}; right <= {{ reach.columns }}; right++) {
      if ((down < 0 ? -down : down) + (right < 0 ? -right : right) > {{ reach.longest }}) continue;
      for (int32_t i = 0; i < {{ copy_size }}; i++) {
        const int32_t r = i / {{ layout.width }} % {{ layout.height }} + down, c = i % {{ layout.width }} + right;
        const int32_t row = r < 0 ? 0 : r < {{ layout.height }} ? r : {{ layout.height - 1 }};
        const int32_t column = c < 0 ? 0 : c < {{ layout.width }} ? c : {{ layout.width - 1 }};
        const int32_t channel = i / {{ layout.height * layout.width }};
        moved[i] = ({{ taken.ctype }}){{ internal }}pixel(image[{{ layout.index }}], channel);
      }
      {{ internal }}take(moved, block);
      {{ internal }}network(block, logits);
      for (int32_t i = 0; i < {{ classes }}; i++) total[i] += logits[i];
    }
  for (int32_t i = 0; i < {{ classes }}; i++) logits[i] = ({{ logit }})(total[i] / {{ views }});
  return {{ internal }}best(logits);
}

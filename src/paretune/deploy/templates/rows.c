{% if layout.c_input.is_planar %}
void {{ name }}_row(int32_t row, int32_t channel, const {{ layout.c_input.ctype }} *numbers, int32_t step, void *memory_given) {
  {{ number }} *const memory = {{ internal }}place(memory_given);
  if (memory) {{ internal }}{{ intake }}(numbers, step, row, channel, {{ intake_arguments }});
}
{% else %}
void {{ name }}_row(int32_t row, const {{ layout.c_input.ctype }} *numbers, void *memory_given) {
  {{ number }} *const memory = {{ internal }}place(memory_given);
  if (!memory) return;
  for (int32_t channel = 0; channel < {{ layout.channels }}; channel++)
    {{ internal }}{{ intake }}(numbers{{ " + channel" if not layout.c_input.is_packed }}, {{ taken.find_step(layout.channels) }}, row, channel, {{ intake_arguments }});
}
{% endif %}

int32_t {{ name }}_finish({{ logit }} *logits, void *memory) {
  {{ number }} *const block = {{ internal }}place(memory);
  if (!block) return -1;
  {{ internal }}network(block, logits);
  return {{ internal }}best(logits);
}

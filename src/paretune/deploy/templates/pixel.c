{% set result = "int32_t" if whole else "float" %}
/* A channel of a pixel: {{ "0 to 1" if is_unit else "0 to 255" }}. */
static inline {{ result }} {{ internal }}pixel({{ layout.c_input.ctype }} number, int32_t channel) {
{% if layout.c_input.is_packed %}
  const int32_t five = channel == 0 ? number >> 11 : number & 31, six = (number >> 5) & 63;
  const int32_t eight = channel == 1 ? (six << 2) | (six >> 4) : (five << 3) | (five >> 2);
  return ({{ result }})eight;
{% else %}
  (void)channel;
{% if whole and layout.c_input.ctype == "float" %}
  return number <= 0.0f ? 0 : number >= 1.0f ? 255 : (int32_t)(number * 255.0f + 0.5f);
{% else %}
  return ({{ result }})number;
{% endif %}
{% endif %}
}

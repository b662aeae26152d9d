/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
 * int8, no floating point.
{% include "input.h" %}
 *
 * {{ name }}_logits(pixels, logits) fills {{ classes }} whole numbers, the largest of which is the class; times {{ logit_scale }} they
 * are the logits. Not reentrant: it works in one static block of {{ memory }} bytes. Weights: {{ flash_bytes }} bytes of constants.
{% if rows and not reach %}
{% set whole = true %}
{% include "rows_comment.h" %}
{% endif %}
 */
{% include "guard.h" %}

#include <stdint.h>

{% for label, array in arrays.items() %}
static const {{ array.ctype }} {{ name }}_{{ label }}[{{ array.size }}] = {
  {{ array.text }}
};
{% endfor %}
static int8_t {{ name }}_memory[{{ memory }}];

{% for kernel in kernels %}
{{ kernel | replace("KERNEL_", internal) }}

{% endfor %}
{% if rows %}
static void {{ internal }}network(int32_t *logits) {
{% else %}
static void {{ name }}_{{ "once" if reach else "logits" }}(const uint8_t *pixels, int32_t *logits) {
{% endif %}
  int8_t *const memory = {{ name }}_memory;
{% for call in calls %}
  {{ internal }}{{ call }}
{% endfor %}
}

{% if rows %}
static void {{ name }}_{{ "once" if reach else "logits" }}(const uint8_t *pixels, int32_t *logits) {
  int8_t *const memory = {{ name }}_memory;
{% include "whole.h" %}
  {{ internal }}network(logits);
}
{% endif %}
{% if rows and not reach %}

{% set number, logit = "int8_t", "int32_t" %}
{% include "rows.h" %}
{% endif %}

{% if reach %}
{% set pixel, logit, total = "uint8_t", "int32_t", "int64_t" %}
{% include "looks.h" %}

{% endif %}
static inline int32_t {{ name }}_class(const uint8_t *pixels) {
  static int32_t logits[{{ classes }}];
  int32_t best = 0;
  {{ name }}_logits(pixels, logits);
  for (int32_t i = 1; i < {{ classes }}; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

#endif

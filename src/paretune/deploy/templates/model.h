/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
{% include "input.h" %}
 *
 * {{ name }}_logits(image, logits): image holds the same values in the same order as floats in [0, 1], byte / 255;
 * logits gets {{ classes }} floats, the largest of which is the class. Not reentrant: it works in one static block
 * of {{ memory * 4 }} bytes{{ ", and in a copy of the image" if reach }}. Weights: {{ n_weights * 4 }} bytes of constants.
{% if rows %}
{% include "rows_comment.h" %}
{% endif %}
 */
{% include "guard.h" %}

#include <math.h>
#include <stdint.h>

{% for label, array in weights.items() %}
static const {{ array.ctype }} {{ name }}_{{ label }}[{{ array.size }}] = {
  {{ array.text }}
};
{% endfor %}
static float {{ name }}_memory[{{ memory }}];

{% for kernel in kernels %}
{{ kernel | replace("KERNEL_", internal) }}

{% endfor %}
{% if rows %}
static void {{ internal }}network(float *logits) {
{% else %}
static void {{ name }}_{{ "once" if reach else "logits" }}(const float *image, float *logits) {
{% endif %}
  float *const memory = {{ name }}_memory;
{% for label in weights %}
  const float *const {{ label }} = {{ name }}_{{ label }};
{% endfor %}
{% for call in calls %}
  {{ internal }}{{ call }}
{% endfor %}
  for (int32_t i = 0; i < {{ classes }}; i++) logits[i] = memory[{{ result }} + i];
}

{% if reach %}
{% set pixel, logit, total = "float", "float", "float" %}
{% include "looks.h" %}

{% endif %}
{% if rows %}
static inline void {{ name }}_logits(const float *image, float *logits) {
  float *const memory = {{ name }}_memory;
  {{ internal }}{{ pooling }}
  {{ internal }}network(logits);
}

{% set number, logit = "float", "float" %}
{% include "rows.h" %}

static inline int32_t {{ name }}_class(const uint8_t *pixels) {
  static float logits[{{ classes }}];
  float *const memory = {{ name }}_memory;
{% include "whole.h" %}
  return {{ name }}_finish(logits);
}
{% else %}
static inline int32_t {{ name }}_class(const uint8_t *pixels) {
  static float image[{{ layout.size }}], logits[{{ classes }}];
  int32_t best = 0;
  for (int32_t i = 0; i < {{ layout.size }}; i++) image[i] = (float)pixels[i] / 255.0f;
  {{ name }}_logits(image, logits);
  for (int32_t i = 1; i < {{ classes }}; i++) if (logits[i] > logits[best]) best = i;
  return best;
}
{% endif %}

#endif

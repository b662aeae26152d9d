/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
 * {{ name }}_logits(image, logits): image holds {{ pixels }} floats in [0, 1], row by row, white on black;
 * logits gets {{ classes }} floats, the largest of which is the class. Not reentrant: it works in one static block
 * of {{ memory * 4 }} bytes{{ ", and in a copy of the image" if reach }}. Weights: {{ sizes.values() | sum * 4 }} bytes of constants.
 */
#ifndef {{ name | upper }}_H
#define {{ name | upper }}_H

#include <math.h>
#include <stdint.h>

#define {{ name | upper }}_PIXELS {{ pixels }}
#define {{ name | upper }}_CLASSES {{ classes }}

{% for label, literal in weights.items() %}
static const float {{ name }}_{{ label }}[{{ sizes[label] }}] = {
  {{ literal }}
};
{% endfor %}
static float {{ name }}_memory[{{ memory }}];

{% for kernel in kernels %}
{{ kernel | replace("KERNEL_", name + "_") }}

{% endfor %}
static void {{ name }}_{{ "once" if reach else "logits" }}(const float *image, float *logits) {
  float *const memory = {{ name }}_memory;
{% for label in weights %}
  const float *const {{ label }} = {{ name }}_{{ label }};
{% endfor %}
{% for call in calls %}
  {{ name }}_{{ call }}
{% endfor %}
  for (int32_t i = 0; i < {{ classes }}; i++) logits[i] = memory[{{ result }} + i];
}

{% if reach %}
{% set pixel, logit, total = "float", "float", "float" %}
{% include "looks.h" %}

{% endif %}

/* The class of an image of {{ pixels }} bytes, 0 to 255. */
static inline int32_t {{ name }}_class(const uint8_t *pixels) {
  static float image[{{ pixels }}], logits[{{ classes }}];
  int32_t best = 0;
  for (int32_t i = 0; i < {{ pixels }}; i++) image[i] = (float)pixels[i] / 255.0f;
  {{ name }}_logits(image, logits);
  for (int32_t i = 1; i < {{ classes }}; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

#endif

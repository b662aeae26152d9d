/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
 * int8, no floating point. {{ name }}_class(pixels): pixels holds {{ pixels }} bytes, 0 to 255, row by row.
 * {{ name }}_logits(pixels, logits) fills {{ classes }} whole numbers, the largest of which is the class; times {{ logit_scale }} they are
 * the logits. Not reentrant: it works in one static block of {{ memory }} bytes. Weights: {{ flash }} bytes of constants.
 */
#ifndef {{ name | upper }}_H
#define {{ name | upper }}_H

#include <stdint.h>

#define {{ name | upper }}_PIXELS {{ pixels }}
#define {{ name | upper }}_CLASSES {{ classes }}

{% for label, array in arrays.items() %}
static const {{ array.ctype }} {{ name }}_{{ label }}[{{ array.size }}] = {
  {{ array.text }}
};
{% endfor %}
static int8_t {{ name }}_memory[{{ memory }}];

{% for kernel in kernels %}
{{ kernel | replace("KERNEL_", name + "_") }}

{% endfor %}
static void {{ name }}_{{ "once" if reach else "logits" }}(const uint8_t *pixels, int32_t *logits) {
  int8_t *const memory = {{ name }}_memory;
{% for call in calls %}
  {{ name }}_{{ call }}
{% endfor %}
}

{% if reach %}
/* The mean over {{ views }} copies of the image, moved by up to {{ reach }} pixels; what comes in repeats the edge. */
static void {{ name }}_logits(const uint8_t *pixels, int32_t *logits) {
  static uint8_t moved[{{ pixels }}];
  static int64_t total[{{ classes }}];
  for (int i = 0; i < {{ classes }}; i++) total[i] = 0;
  for (int down = -{{ reach }}; down <= {{ reach }}; down++)
    for (int right = -{{ reach }}; right <= {{ reach }}; right++) {
      if ((down < 0 ? -down : down) + (right < 0 ? -right : right) > {{ reach }}) continue;
      for (int i = 0; i < {{ pixels }}; i++) {
        const int r = i / {{ width }} % {{ height }} + down, c = i % {{ width }} + right;
        const int row = r < 0 ? 0 : r < {{ height }} ? r : {{ height - 1 }}, column = c < 0 ? 0 : c < {{ width }} ? c : {{ width - 1 }};
        moved[i] = pixels[(i / {{ height * width }} * {{ height }} + row) * {{ width }} + column];
      }
      {{ name }}_once(moved, logits);
      for (int i = 0; i < {{ classes }}; i++) total[i] += logits[i];
    }
  for (int i = 0; i < {{ classes }}; i++) logits[i] = (int32_t)(total[i] / {{ views }});
}

{% endif %}
static inline int {{ name }}_class(const uint8_t *pixels) {
  static int32_t logits[{{ classes }}];
  int best = 0;
  {{ name }}_logits(pixels, logits);
  for (int i = 1; i < {{ classes }}; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

#endif

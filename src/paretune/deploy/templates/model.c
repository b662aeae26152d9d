/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
 * How it is used stands in {{ name }}.h. On an AVR the constants are read from flash.
 */
#include "{{ name }}.h"

{% if not whole %}
#include <math.h>

{% endif %}
#ifdef __AVR__
#include <avr/pgmspace.h>
#define {{ internal }}FLASH PROGMEM
#else
#define {{ internal }}FLASH
#endif

{% for label, array in arrays.items() %}
static const {{ array.ctype }} {{ name }}_{{ label }}[{{ array.size }}] {{ internal }}FLASH = {
  {{ array.text }}
};
{% endfor %}

{% include "memory.c" %}

{% include "pixel.c" %}

{% for kernel in kernels %}
{{ kernel | replace("KERNEL_", internal) }}

{% endfor %}
static void {{ internal }}take(const {{ taken.ctype }} *image, {{ number }} *memory) {
  for (int32_t channel = 0; channel < {{ layout.channels }}; channel++)
    for (int32_t row = 0; row < {{ layout.height }}; row++)
      {{ internal }}{{ intake }}(image + {{ taken.find_line(layout.shape) }}, {{ taken.find_step(layout.channels) }}, row, channel, {{ intake_arguments }});
}

static void {{ internal }}network({{ number }} *memory, {{ logit }} *logits) {
{% for call in calls %}
  {{ internal }}{{ call }}
{% endfor %}
{% if result is not none %}
  for (int32_t i = 0; i < {{ classes }}; i++) logits[i] = memory[{{ result }} + i];
{% endif %}
}

static int32_t {{ internal }}best(const {{ logit }} *logits) {
  int32_t best = 0;
  for (int32_t i = 1; i < {{ classes }}; i++)
    if (logits[i] > logits[best]) best = i;
  return best;
}

{% if reach %}
{% include "views.c" %}
{% else %}
int32_t {{ name }}_predict(const {{ layout.c_input.ctype }} *image, {{ logit }} *logits, void *memory) {
  {{ number }} *const block = {{ internal }}place(memory);
  if (!block) return -1;
  {{ internal }}take(image, block);
  {{ internal }}network(block, logits);
  return {{ internal }}best(logits);
}
{% endif %}
{% if has_rows %}

{% include "rows.c" %}
{% endif %}

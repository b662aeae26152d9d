/*
{% for line in about %}
 * {{ line }}
{% endfor %}
 *
 * int32_t {{ name }}_predict(const {{ layout.c_input.ctype }} *image, {{ logit }} *logits, void *memory)
 *
 * is the number of an image's class, and fills the logits.
 *
{% include "words.h" %}
{% if has_rows %}
{% include "rows.h" %}
{% endif %}
 */
#ifndef {{ guard }}
#define {{ guard }}

#ifdef {{ prefix }}_CLASSES
#error "the prefix {{ name }}_ is taken by another model (upper and lower case count as one); export one of the two under another name"
#endif
#define {{ prefix }}_CHANNELS {{ layout.channels }}
#define {{ prefix }}_HEIGHT {{ layout.height }}
#define {{ prefix }}_WIDTH {{ layout.width }}
#define {{ prefix }}_INPUT_SIZE {{ layout.size }}
#define {{ prefix }}_CLASSES {{ classes }}
#define {{ prefix }}_MEMORY_BYTES {{ memory_bytes }}
#define {{ prefix }}_FLASH_BYTES {{ flash_bytes }}
#define {{ prefix }}_CLASS_NAMES { \
{% for class_name in layout.c_names %}
  {{ class_name }}{{ "," if not loop.last }} \
{% endfor %}
}

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

int32_t {{ name }}_predict(const {{ layout.c_input.ctype }} *image, {{ logit }} *logits, void *memory);
{% if has_rows %}
{% if layout.c_input.is_planar %}
void {{ name }}_row(int32_t row, int32_t channel, const {{ layout.c_input.ctype }} *numbers, int32_t step, void *memory);
{% else %}
void {{ name }}_row(int32_t row, const {{ layout.c_input.ctype }} *numbers, void *memory);
{% endif %}
int32_t {{ name }}_finish({{ logit }} *logits, void *memory);
{% endif %}

#ifdef __cplusplus
}
#endif

#endif

#ifndef {{ guard }}
#define {{ guard }}

{% set prefix = name | upper %}
#ifdef {{ prefix }}_CLASSES
#error "the prefix {{ name }}_ is taken by another model (upper and lower case count as one); export one of the two under another name"
#endif
#define {{ prefix }}_CHANNELS {{ layout.channels }}
#define {{ prefix }}_HEIGHT {{ layout.height }}
#define {{ prefix }}_WIDTH {{ layout.width }}
#define {{ prefix }}_PIXELS {{ layout.size }}
#define {{ prefix }}_CLASSES {{ classes }}
#define {{ prefix }}_CLASS_NAMES { \
{% for class_name in layout.c_names %}
  {{ class_name }}{{ "," if not loop.last }} \
{% endfor %}
}

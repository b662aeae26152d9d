/*
 * {{ inputs | length }} reference inputs of {{ name }}.c and their outputs: returns 0 if all agree, else 1.
{% if not whole %}
 * A logit may differ by {{ bound }}.
{% endif %}
 */
#include "{{ name }}.h"

#include <stdio.h>
#include <string.h>

#ifdef __AVR__
#include <avr/pgmspace.h>
#define FLASH PROGMEM
#define READ memcpy_P
#else
#define FLASH
#define READ memcpy
#endif

#define REFERENCES {{ inputs | length }}
static const {{ layout.c_input.ctype }} inputs[REFERENCES][{{ layout.size }}] FLASH = {
{% for text in inputs %}
  { {{ text }} },
{% endfor %}
};
static const {{ logit }} outputs[REFERENCES][{{ classes }}] FLASH = {
{% for text in outputs %}
  { {{ text }} },
{% endfor %}
};
static {{ layout.c_input.ctype }} image[{{ layout.size }}];
static {{ logit }} logits[{{ classes }}], expected[{{ classes }}];

#ifdef {{ prefix }}_CALLER_MEMORY
static {{ block }} memory[{{ block_size }}];
#define MEMORY memory
#else
#define MEMORY 0
#endif

/* Whether the logits are those expected, and none of them is larger than that of the class. */
static int agrees(int32_t number) {
  if (number < 0 || number >= {{ classes }}) return 0;
  for (int32_t i = 0; i < {{ classes }}; i++) {
{% if whole %}
    if (logits[i] != expected[i] || logits[i] > logits[number]) return 0;
{% else %}
    const float difference = logits[i] > expected[i] ? logits[i] - expected[i] : expected[i] - logits[i];
    if (!(difference <= {{ bound }}) || logits[i] > logits[number]) return 0;
{% endif %}
  }
  return 1;
}

int main(void) {
  int agreeing = 0;
  for (int32_t i = 0; i < REFERENCES; i++) {
    READ(image, inputs[i], sizeof image);
    READ(expected, outputs[i], sizeof expected);
    agreeing += agrees({{ name }}_predict(image, logits, MEMORY));
  }
  printf("{{ name }}: %d of %d reference inputs give their outputs\n", agreeing, REFERENCES);
  return agreeing == REFERENCES ? 0 : 1;
}

 * image holds {{ layout.size }} numbers ({{ layout.c_input.ctype }}), {{ layout.range }}:
 * {{ layout.order }},
 * image[{{ layout.index }}].
 *
{% if whole %}
 * logits gets {{ classes }} whole numbers, the largest of which is the class; times {{ logit_scale }} they are the logits. There is no
 * floating point in the network.
{% else %}
 * logits gets {{ classes }} floats, the largest of which is the class.
{% endif %}
 *
 * memory is 0 or a block of the caller's, of {{ prefix }}_MEMORY_BYTES bytes that are aligned as {{ block }}. With 0 the function
 * works in a static block of its own, and must not be called again before it has returned. With the caller's blocks several
 * calls may run at a time. Nothing in a block is needed once a call has returned.
 *
 * Where the static block lies is chosen when {{ name }}.c is compiled:
 *   -D{{ prefix }}_MEMORY_SECTION='".ccmram"'  in a section of this name; without it in .bss
 *   -D{{ prefix }}_CALLER_MEMORY               nowhere: memory is the caller's, and with 0 the function only returns -1
 *
 * Constants take {{ prefix }}_FLASH_BYTES bytes; the code comes on top.
 * The names of the classes in the order of their numbers: static const char *const names[] = {{ prefix }}_CLASS_NAMES;

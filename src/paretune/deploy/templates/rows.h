 *
{% if layout.c_input.is_planar %}
 * void {{ name }}_row(int32_t row, int32_t channel, const {{ layout.c_input.ctype }} *numbers, int32_t step, void *memory)
{% else %}
 * void {{ name }}_row(int32_t row, const {{ layout.c_input.ctype }} *numbers, void *memory)
{% endif %}
 * int32_t {{ name }}_finish({{ logit }} *logits, void *memory)
 *
 * take an image that comes row by row, and needs no room but that block, which is one for all of its rows.
{% if layout.c_input.is_planar %}
 * Give {{ name }}_row each of the {{ layout.height }} rows of each channel, from the top; the channels may take turns. numbers is where the
 * first of {{ layout.width }} numbers is, and step how many numbers behind each of them the next one is: 1, or 2 where a camera gives
 * a byte of colour behind each byte of grey (YUYV).
{% else %}
 * Give {{ name }}_row each of the {{ layout.height }} rows, from the top: numbers is where the first number of its first pixel is.
{% endif %}
 * Then {{ name }}_finish fills the logits, as above, and is the number of the class. The next image begins with its first
 * row. The network sees the mean of each {{ pool[0] }}x{{ pool[1] }} pixels{{ ": their exact sum, rounded once" if whole }}.

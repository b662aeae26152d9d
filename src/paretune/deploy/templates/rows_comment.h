 *
 * An image that comes row by row needs no room but that block: give {{ name }}_row(row, channel, pixels, step) each of the {{ layout.height }}
{% if layout.channels > 1 %}
 * rows of each channel, from the top; the channels may take turns. pixels is where the first of {{ layout.width }} bytes is, and step how
 * many bytes behind each of them the next one is: 1, or {{ layout.channels }} where the channels of a pixel lie side by side, as cameras give
 * them.
{% else %}
 * rows, from the top; channel is 0. pixels is where the first of {{ layout.width }} bytes is, and step how many bytes behind each of them
 * the next one is: 1, or 2 where a camera gives a byte of colour behind each byte of grey (YUYV).
{% endif %}
 * Then {{ name }}_finish(logits) fills the logits, as above, and is the number of the class. The next image begins with
 * its first row. The network sees the mean of each {{ pool[0] }}x{{ pool[1] }} pixels{{ ": their exact sum, rounded once" if whole }}.

 * {{ name }}_class(pixels) is the number of an image's class. pixels holds {{ layout.size }} bytes, 0 to 255{{ layout.ground }}:
 * {{ layout.order }},
 * pixels[{{ layout.index }}].
{% if layout.channels > 1 %}
 * A buffer with the channels of each pixel side by side (height, width, channel), as cameras give it, has to be
 * brought into this order first.
{% endif %}
 * The names of the classes in the order of their numbers: static const char *const names[] = {{ name | upper }}_CLASS_NAMES;

  for (int32_t channel = 0; channel < {{ layout.channels }}; channel++)
    for (int32_t row = 0; row < {{ layout.height }}; row++)
      {{ internal }}squares(pixels + (channel * {{ layout.height }} + row) * {{ layout.width }}, 1, row, channel, {{ rows }});

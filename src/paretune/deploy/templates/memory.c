#ifdef {{ prefix }}_CALLER_MEMORY
static {{ block }} *{{ internal }}place(void *memory) { return ({{ block }} *)memory; }
#else
static {{ block }} {{ internal }}block[{{ block_size }}]
#ifdef {{ prefix }}_MEMORY_SECTION
  __attribute__((section({{ prefix }}_MEMORY_SECTION)))
#endif
  ;
static {{ block }} *{{ internal }}place(void *memory) { return memory ? ({{ block }} *)memory : {{ internal }}block; }
#endif

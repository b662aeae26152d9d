"""From a trained network to files that run without Paretune: ONNX, safetensors, a C
program, a model card.

All but safetensors and the card come from the network's operations
(:mod:`paretune.operations`), each kind of file in a few modules:

* ONNX: ``onnx`` writes the file, ``onnx_operations`` each operation, ``onnx_views`` the
  mean over views; ``onnx_exporter`` is for modules that no layers describe.
* C in floats: ``c_float`` writes the program, ``c_calls`` the calls, ``c_arguments``
  what each function is given.
* Whole numbers: ``quantise`` has onnxruntime round an ONNX file, ``int8_reader`` puts
  its steps beside the operations, ``c_int8`` writes the program, ``c_int8_calls``,
  ``c_int8_sums`` and ``c_int8_values`` the calls.
* Both programs: ``c_files`` names their files, ``c_input`` is what they take,
  ``c_images`` images in that form; the C functions are in ``templates``,
  ``c_kernels`` chooses them, ``c_template`` renders, ``c_program`` compiles and
  measures.
* Reading: ``runtime`` runs a file, ``picture`` and ``centring`` place pictures.
"""

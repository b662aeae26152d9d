"""From a trained network to files that run without Paretune: ONNX, safetensors, a C
header, a model card.
"""

"""The network that the trainer's tests train."""

SMALL = """
name: small
input: [1, 8, 8]
params: {num_classes: 10}
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - batch_norm
  - relu
  - flatten
  - dropout: 0.2
  - linear: num_classes
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.01, limit_train: 100, limit_test: 40}
"""

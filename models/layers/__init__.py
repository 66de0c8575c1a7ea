"""The layers a recipe's network is written in and the numbers each may take; no torch.

A layer is a word (`relu`), a word with its one number (`linear: 64`) or a word with a mapping
(`conv2d: {channels: 16, kernel: 3}`). `trainer/networks/` builds what is described here.
"""

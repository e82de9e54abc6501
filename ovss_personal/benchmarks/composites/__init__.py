"""Composite scenes from photographic cut-outs: what the embedded base is trained on and Stamps^per is made of.

`sources` says which cut-outs and backgrounds exist and which of them may be trained on; `paste` puts one on
another.
"""

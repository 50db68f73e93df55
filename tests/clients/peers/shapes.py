"""The model of shapes.json for the servers of others: three classes, one for each pair of pixels."""
import numpy as np

CLASSES = np.array([b"cat", b"dog", b"long-eared owl"], dtype=np.object_)


def predict(pixels):
    """pixels: [rows, 6] float32. Gives class names [rows] and probabilities [rows, 3]."""
    scores = np.asarray(pixels, dtype=np.float32).reshape(-1, 3, 2).sum(axis=2)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return CLASSES[shares.argmax(axis=1)], shares

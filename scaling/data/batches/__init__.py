"""What a training step receives: images on the device or streamed to it, and their augmentation."""

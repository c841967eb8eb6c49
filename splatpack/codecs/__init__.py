"""Arrays to bytes and back: transforms, serializers, compressors, and the pipelines that join them."""

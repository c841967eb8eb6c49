"""Scene to container and back: the room that joins codecs to the container."""

"""Images pull a scene: importance by rendering."""

"""What a scene is: Gaussians, cameras, rigid transforms, validation."""

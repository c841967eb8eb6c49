"""Scene and camera to image, and images to PSNR and SSIM."""

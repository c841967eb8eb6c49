/** The shaders: projection as in splatpack/render (EWA splatting with the constants of the Inria rasteriser). */

export const VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;

uniform usampler2D u_geometry;
uniform usampler2D u_sh;
uniform int u_degree;
uniform mat4 u_view;       // world to camera: x right, y down, z forward
uniform vec3 u_eye;
uniform vec2 u_focal;      // pixels
uniform vec2 u_size;       // pixels
uniform bool u_antialiased;
in uint a_slot;
out vec2 v_place;          // in standard deviations along the axes of the ellipse
out vec4 v_colour;         // rgb, opacity

const float LOG_255 = 5.541263545158426;
const float DILATION = 0.3;

float norm16(uint bits) {
  return float(int(bits << 16) >> 16) / 32767.0;
}

mat3 turn(vec3 v) {
  vec4 q = vec4(sqrt(max(0.0, 1.0 - dot(v, v))), v);
  q /= length(q);
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(
    1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
    2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
    2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

uint shWord(int k) {
  int texels = u_degree == 1 ? 1 : u_degree == 2 ? 3 : 4;
  uint texel = (a_slot & 1023u) * uint(texels) + uint(k >> 2);
  return texelFetch(u_sh, ivec2(texel, a_slot >> 10), 0)[k & 3];
}

vec3 sh(int k) {
  int bits = int(shWord(k));
  return vec3(float(bits << 21 >> 21) / 1023.0, float(bits << 10 >> 21) / 1023.0, float(bits >> 22) / 511.0);
}

vec3 viewed(vec3 d) {
  float x = d.x, y = d.y, z = d.z;
  vec3 c = 0.4886025119029199 * (-y * sh(0) + z * sh(1) - x * sh(2));
  if (u_degree > 1) {
    float xx = x * x, yy = y * y, zz = z * z;
    c += 1.0925484305920792 * (x * y * sh(3) - y * z * sh(4) - x * z * sh(6));
    c += 0.31539156525252005 * (2.0 * zz - xx - yy) * sh(5) + 0.5462742152960396 * (xx - yy) * sh(7);
    if (u_degree > 2) {
      c += -0.5900435899266435 * y * (3.0 * xx - yy) * sh(8) + 2.890611442640554 * x * y * z * sh(9);
      c += -0.4570457994644658 * y * (4.0 * zz - xx - yy) * sh(10);
      c += 0.3731763325901154 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * sh(11);
      c += -0.4570457994644658 * x * (4.0 * zz - xx - yy) * sh(12) + 1.445305721320277 * z * (xx - yy) * sh(13);
      c += -0.5900435899266435 * x * (xx - 3.0 * yy) * sh(14);
    }
  }
  int last = u_degree == 1 ? 3 : u_degree == 2 ? 11 : 15;
  return c * uintBitsToFloat(shWord(last));
}

void main() {
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0); // outside: what returns early is not drawn
  ivec2 at = ivec2((a_slot & 1023u) * 2u, a_slot >> 10);
  uvec4 a = texelFetch(u_geometry, at, 0);
  uvec4 b = texelFetch(u_geometry, at + ivec2(1, 0), 0);
  vec3 mean = uintBitsToFloat(a.xyz);
  vec2 two = unpackHalf2x16(b.x);
  vec3 scale = exp(vec3(unpackHalf2x16(a.w), two.x));
  float logit = two.y;
  vec3 base = vec3(unpackHalf2x16(b.z).y, unpackHalf2x16(b.w));
  vec3 p = (u_view * vec4(mean, 1.0)).xyz;

  // J W, with the Jacobian at a position that is held to 1.3 times the half field of view
  vec2 most = 0.65 * u_size / u_focal;
  vec2 held = clamp(p.xy / p.z, -most, most);
  mat3 w = mat3(u_view);
  vec2 jz = u_focal / p.z;
  vec3 rx = jz.x * (vec3(w[0][0], w[1][0], w[2][0]) - held.x * vec3(w[0][2], w[1][2], w[2][2]));
  vec3 ry = jz.y * (vec3(w[0][1], w[1][1], w[2][1]) - held.y * vec3(w[0][2], w[1][2], w[2][2]));
  mat3 r = turn(vec3(norm16(b.y), norm16(b.y >> 16), norm16(b.z)));
  vec3 mx = (rx * r) * scale;
  vec3 my = (ry * r) * scale;
  float xx = dot(mx, mx), xy = dot(mx, my), yy = dot(my, my);
  vec3 bend = cross(mx, my);
  float bare = dot(bend, bend);
  float det = bare + DILATION * (xx + yy) + DILATION * DILATION;
  xx += DILATION;
  yy += DILATION;
  float logAlpha = -log(1.0 + exp(-logit));
  if (u_antialiased) logAlpha += 0.5 * log(max(bare / det, 1e-30));
  float reach = 2.0 * (LOG_255 + logAlpha);
  if (!(reach > 0.0)) return;

  // Axes of the ellipse, as long as alpha stays above 1/255
  float mid = 0.5 * (xx + yy);
  float away = length(vec2(0.5 * (xx - yy), xy));
  float large = mid + away;
  float small = max(det / large, 0.5 * DILATION);
  float tilt = 0.5 * (xx - yy);
  vec2 axis = vec2(1.0, 0.0);
  if (away > 1e-6 * mid) axis = normalize(tilt > 0.0 ? vec2(away + tilt, xy) : vec2(xy, away - tilt));
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  v_place = corner * sqrt(reach);
  vec2 offset = v_place.x * sqrt(large) * axis + v_place.y * sqrt(small) * vec2(-axis.y, axis.x);
  vec2 pixel = u_focal * p.xy / p.z + 0.5 * u_size + offset;
  vec3 colour = 0.5 + 0.28209479177387814 * base;
  if (u_degree > 0) colour += viewed(normalize(mean - u_eye));
  v_colour = vec4(max(colour, 0.0), exp(logAlpha));
  gl_Position = vec4(2.0 * pixel.x / u_size.x - 1.0, 1.0 - 2.0 * pixel.y / u_size.y, 0.0, 1.0);
}
`;

export const FRAGMENT = `#version 300 es
precision highp float;
in vec2 v_place;
in vec4 v_colour;
out vec4 colour;

void main() {
  float alpha = min(0.99, v_colour.a * exp(-0.5 * dot(v_place, v_place)));
  if (alpha < 1.0 / 255.0) discard;
  colour = vec4(v_colour.rgb * alpha, alpha);
}
`;

/** Copies the sum of what was drawn in front of the background. */
export const COPY_VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}
`;

export const COPY_FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D u_drawn;
uniform vec3 u_background;
out vec4 colour;

void main() {
  vec4 drawn = texelFetch(u_drawn, ivec2(gl_FragCoord.xy), 0);
  colour = vec4(drawn.rgb + (1.0 - drawn.a) * u_background, 1.0);
}
`;

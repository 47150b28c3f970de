/** How points are drawn: as squares as wide as the ground that each stands for. */
import * as THREE from "three";
import { CLASSES, RAMP, texels } from "./colours";

export type Colouring = "true" | "elevation" | "class";
export const COLOURINGS: readonly Colouring[] = ["true", "elevation", "class"];

const VERTEX = /* glsl */ `
in vec4 colour;
uniform float apart[8];
uniform vec3 middle;
uniform float pixels;
uniform float size;
uniform int mode;
uniform vec2 range;
uniform sampler2D ramp;
uniform sampler2D classes;
out vec3 shown;
void main() {
  vec4 view = modelViewMatrix * vec4(position, 1.0);
  gl_Position = projectionMatrix * view;
  // As far apart as points are in this eighth of the node, where finer nodes may be drawn over it.
  ivec3 half_ = ivec3(greaterThanEqual(position, middle));
  float metres = apart[half_.x + 2 * half_.y + 4 * half_.z];
  gl_PointSize = clamp(size * metres * pixels / -view.z, 1.0, 48.0);
  if (mode == 1) shown = texture(ramp, vec2((position.z - range.x) / max(range.y - range.x, 1e-3), 0.5)).rgb;
  else if (mode == 2) shown = texelFetch(classes, ivec2(int(colour.a * 255.0 + 0.5), 0), 0).rgb;
  else shown = colour.rgb;
}`;

const FRAGMENT = /* glsl */ `
precision mediump float;
in vec3 shown;
out vec4 pixel;
void main() { pixel = vec4(shown, 1.0); }`;

/** One material for all nodes; what differs between them is set before each is drawn (`prepare`). */
export function material(): THREE.ShaderMaterial {
  return new THREE.ShaderMaterial({
    glslVersion: THREE.GLSL3,
    vertexShader: VERTEX,
    fragmentShader: FRAGMENT,
    uniforms: {
      apart: { value: new Float32Array(8) },
      middle: { value: new THREE.Vector3() },
      pixels: { value: 1 },
      size: { value: 1 },
      mode: { value: 0 },
      range: { value: new THREE.Vector2(0, 1) },
      ramp: { value: texture(RAMP) },
      classes: { value: texture(CLASSES.map((each) => each.colour)) },
    },
  });
}

/** A row of 256 texels. */
function texture(colours: readonly string[]): THREE.DataTexture {
  const data = texels(colours, 256);
  const made = new THREE.DataTexture(data, 256, 1);
  made.magFilter = made.minFilter = THREE.NearestFilter;
  made.needsUpdate = true;
  return made;
}

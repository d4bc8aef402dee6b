//! Draws the editor into an image, without a window, a graphics card or a host.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by an example and a test, which use different parts"
)]

#[path = "scenes.rs"]
pub mod scenes;

use egui::{
    ClippedPrimitive, Color32, Context, Event, PointerButton, Pos2, RawInput, Rect, TextureId,
    Vec2, epaint::Primitive,
};
use genrescope_plugin_core::editor::{
    view::{self, Action, Memory},
    view_model::ViewModel,
};

/// An image, RGBA, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<Color32>,
}

impl Image {
    pub fn at(&self, x: usize, y: usize) -> Color32 {
        self.pixels[y * self.width + x]
    }
}

/// An editor that lives offscreen.
pub struct Offscreen {
    context: Context,
    pub memory: Memory,
    /// What was put on the clipboard last.
    pub copied: Option<String>,
    /// What a screen reader would have said of what keys came to, one after the other.
    pub focused: Vec<String>,
    /// What was written in the last pass, and what of each is seen where.
    pub texts: Vec<(Rect, String)>,
    size: Vec2,
    pixels_per_point: f32,
    time: f64,
    atlas: Option<(usize, usize, Vec<Color32>)>,
}

impl Offscreen {
    pub fn new(size: Vec2, pixels_per_point: f32) -> Self {
        Self {
            context: Context::default(),
            copied: None,
            focused: Vec::new(),
            texts: Vec::new(),
            memory: Memory::default(),
            size,
            pixels_per_point,
            time: 0.0,
            atlas: None,
        }
    }

    /// One pass with `events`; returns what the user did and what there is to paint.
    pub fn pass(
        &mut self,
        model: &ViewModel,
        events: Vec<Event>,
    ) -> (Vec<Action>, Vec<ClippedPrimitive>) {
        self.time += 1.0 / 30.0;
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, self.size)),
            time: Some(self.time),
            events,
            focused: true,
            ..RawInput::default()
        };
        input
            .viewports
            .entry(input.viewport_id)
            .or_default()
            .native_pixels_per_point = Some(self.pixels_per_point);
        let mut actions = Vec::new();
        let memory = &mut self.memory;
        let mut output = self
            .context
            .run_ui(input, |ui| actions.extend(view::draw(ui, model, memory)));
        for (id, deltas) in std::mem::take(&mut output.textures_delta.set) {
            assert_eq!(id, TextureId::default(), "only the font atlas is used");
            for delta in deltas {
                self.update_atlas(delta);
            }
        }
        output.textures_delta.clear();
        for command in std::mem::take(&mut output.platform_output.commands) {
            if let egui::OutputCommand::CopyText(text) = command {
                self.copied = Some(text);
            }
        }
        for event in &output.platform_output.events {
            if let egui::output::OutputEvent::FocusGained(info) = event {
                let label = info.label.clone().or(info.current_text_value.clone());
                self.focused.push(label.unwrap_or_default());
            }
        }
        self.texts.clear();
        for clipped in &output.shapes {
            written(&clipped.shape, clipped.clip_rect, &mut self.texts);
        }
        let primitives = self
            .context
            .tessellate(output.shapes, output.pixels_per_point);
        (actions, primitives)
    }

    fn update_atlas(&mut self, delta: egui::epaint::ImageDelta) {
        let egui::ImageData::Color(image) = delta.image;
        let [width, height] = image.size;
        if let Some([left, top]) = delta.pos {
            let (atlas_w, _, pixels) = self.atlas.as_mut().expect("a whole atlas came first");
            for row in 0..height {
                let to = (top + row) * *atlas_w + left;
                pixels[to..to + width]
                    .copy_from_slice(&image.pixels[row * width..(row + 1) * width]);
            }
        } else {
            self.atlas = Some((width, height, image.pixels.clone()));
        }
    }

    /// Presses and releases the first button at `place`.
    pub fn click(&mut self, model: &ViewModel, place: Pos2) -> Vec<Action> {
        let button = |pressed| Event::PointerButton {
            pos: place,
            button: PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        };
        let mut actions = Vec::new();
        for events in [
            vec![Event::PointerMoved(place)],
            vec![button(true)],
            vec![button(false)],
            vec![],
        ] {
            actions.extend(self.pass(model, events).0);
        }
        actions
    }

    /// Presses and releases a key.
    pub fn press(&mut self, model: &ViewModel, key: egui::Key) -> Vec<Action> {
        let event = |pressed| Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers: egui::Modifiers::NONE,
        };
        let mut actions = Vec::new();
        for events in [vec![event(true)], vec![event(false)], vec![]] {
            actions.extend(self.pass(model, events).0);
        }
        actions
    }

    /// Lets everything come to rest, then paints it.
    pub fn render(&mut self, model: &ViewModel) -> Image {
        self.memory.settle(model);
        self.pass(model, Vec::new());
        let (_, primitives) = self.pass(model, Vec::new());
        let width = (self.size.x * self.pixels_per_point).round() as usize;
        let height = (self.size.y * self.pixels_per_point).round() as usize;
        let mut image = Image {
            width,
            height,
            pixels: vec![Color32::from_rgb(255, 0, 255); width * height],
        };
        for primitive in &primitives {
            let Primitive::Mesh(mesh) = &primitive.primitive else {
                panic!("the editor has no callbacks");
            };
            let clip = primitive.clip_rect * self.pixels_per_point;
            for triangle in mesh.indices.chunks_exact(3) {
                let corners = [0, 1, 2].map(|corner| mesh.vertices[triangle[corner] as usize]);
                self.triangle(&mut image, clip, &corners);
            }
        }
        image
    }

    fn triangle(&self, image: &mut Image, clip: Rect, corners: &[egui::epaint::Vertex; 3]) {
        let [a, b, c] = corners.map(|vertex| vertex.pos.to_vec2() * self.pixels_per_point);
        let cross = |u: Vec2, v: Vec2| u.x * v.y - u.y * v.x;
        let area = cross(b - a, c - a);
        if area.abs() < 1e-9 {
            return;
        }
        let span = |low: f32, high: f32, from: f32, to: f32, n: usize| {
            let first = low.max(from.round()).floor().max(0.0) as usize;
            let last = high.min(to.round()).ceil().max(0.0) as usize;
            first..last.min(n)
        };
        let columns = span(
            a.x.min(b.x).min(c.x),
            a.x.max(b.x).max(c.x),
            clip.min.x,
            clip.max.x,
            image.width,
        );
        let rows = span(
            a.y.min(b.y).min(c.y),
            a.y.max(b.y).max(c.y),
            clip.min.y,
            clip.max.y,
            image.height,
        );
        for y in rows {
            for x in columns.clone() {
                let point = egui::vec2(x as f32 + 0.5, y as f32 + 0.5);
                let weights = [
                    cross(b - point, c - point) / area,
                    cross(c - point, a - point) / area,
                    cross(a - point, b - point) / area,
                ];
                if weights.iter().any(|&weight| weight < 0.0) {
                    continue;
                }
                let mix = |value: fn(&egui::epaint::Vertex) -> f32| {
                    corners
                        .iter()
                        .zip(weights)
                        .map(|(vertex, weight)| value(vertex) * weight)
                        .sum::<f32>()
                };
                let texel = self.texel(mix(|v| v.uv.x), mix(|v| v.uv.y));
                let tint = [
                    mix(|v| f32::from(v.color.r())),
                    mix(|v| f32::from(v.color.g())),
                    mix(|v| f32::from(v.color.b())),
                    mix(|v| f32::from(v.color.a())),
                ];
                let source: Vec<f32> = tint.iter().zip(texel).map(|(t, s)| t * s / 255.0).collect();
                let pixel = &mut image.pixels[y * image.width + x];
                let under = pixel.to_array();
                let keep = 1.0 - source[3] / 255.0;
                let blend = |index: usize| {
                    (source[index] + f32::from(under[index]) * keep)
                        .round()
                        .min(255.0) as u8
                };
                *pixel = Color32::from_rgb(blend(0), blend(1), blend(2));
            }
        }
    }

    /// Bilinear, as a graphics card samples it.
    fn texel(&self, u: f32, v: f32) -> [f32; 4] {
        let Some((width, height, pixels)) = &self.atlas else {
            return [255.0; 4];
        };
        let (x, y) = (u * *width as f32 - 0.5, v * *height as f32 - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let at = |dx: f32, dy: f32| {
            let x = (left + dx).clamp(0.0, *width as f32 - 1.0) as usize;
            let y = (top + dy).clamp(0.0, *height as f32 - 1.0) as usize;
            pixels[y * width + x].to_array().map(f32::from)
        };
        let (a, b, c, d) = (at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0), at(1.0, 1.0));
        [0, 1, 2, 3].map(|i| {
            (a[i] * (1.0 - fx) + b[i] * fx) * (1.0 - fy) + (c[i] * (1.0 - fx) + d[i] * fx) * fy
        })
    }
}

/// The texts of a shape, each with the part of its ink that is within `clip`.
fn written(shape: &egui::Shape, clip: Rect, texts: &mut Vec<(Rect, String)>) {
    match shape {
        egui::Shape::Vec(shapes) => {
            for shape in shapes {
                written(shape, clip, texts);
            }
        }
        egui::Shape::Text(text) => {
            let ink = text.galley.mesh_bounds.translate(text.pos.to_vec2());
            let seen = ink.intersect(clip);
            if seen.is_positive() {
                texts.push((seen, text.galley.text().to_owned()));
            }
        }
        _ => {}
    }
}

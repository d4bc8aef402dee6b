//! Draws the editor into an image, without a window, a graphics card or a host.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by an example and a test, which use different parts"
)]

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
    size: Vec2,
    pixels_per_point: f32,
    time: f64,
    atlas: Option<(usize, usize, Vec<Color32>)>,
}

impl Offscreen {
    pub fn new(size: Vec2, pixels_per_point: f32) -> Self {
        Self {
            context: Context::default(),
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

/// Readouts to look at.
pub mod scenes {
    use genrescope::{
        decision::{Reason, State},
        genre::GTZAN,
    };
    use genrescope_plugin_core::{
        editor::view_model::{Status, ViewModel},
        history::Span,
        song::SongTime,
    };

    fn history(plan: &[(f64, Option<usize>, f32, State)]) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = 0.0;
        for &(length, genre, confidence, state) in plan {
            let n = (length / 2.0).round().max(1.0) as usize;
            for step in 0..n {
                let ripple = 0.07 * (step as f32 * 1.3).sin();
                spans.push(Span {
                    start: at,
                    end: at + 2.0,
                    genre,
                    confidence: (confidence + ripple).clamp(0.0, 1.0),
                    state,
                    song: Some(SongTime {
                        seconds: at + 62.0,
                        bars: Some((31.0 + 0.5 * at, 0.5)),
                    }),
                });
                at += 2.0;
            }
        }
        spans
    }

    /// Reggae, after a spell of jazz and a pause.
    pub fn live() -> ViewModel {
        ViewModel {
            labels: GTZAN.map(str::to_owned).to_vec(),
            scores: vec![0.02, 0.004, 0.03, 0.05, 0.09, 0.03, 0.0, 0.03, 0.71, 0.036],
            newest: vec![0.02, 0.004, 0.03, 0.02, 0.23, 0.03, 0.0, 0.03, 0.58, 0.056],
            status: Status::Listening(State::Live),
            genre: Some(8),
            confidence: 0.71,
            heard_s: 29.12,
            history: history(&[
                (34.0, Some(5), 0.62, State::Live),
                (6.0, None, 0.0, State::Silent),
                (8.0, None, 0.3, State::NotMusic),
                (4.0, None, 0.0, State::Warming),
                (8.0, None, 0.3, State::Unsure),
                (16.0, Some(4), 0.45, State::Provisional),
                (44.0, Some(8), 0.68, State::Live),
            ]),
            level_dbfs: -14.0,
            averaging_s: 10.0,
            model: "built-in".to_owned(),
            load: 0.008,
            midi: true,
            osc: true,
            osc_target: "127.0.0.1:9000".to_owned(),
            format: "CLAP".to_owned(),
            ..ViewModel::default()
        }
    }

    pub fn unsure() -> ViewModel {
        ViewModel {
            scores: vec![0.06, 0.01, 0.08, 0.02, 0.01, 0.02, 0.33, 0.05, 0.03, 0.39],
            newest: vec![0.03, 0.01, 0.05, 0.02, 0.01, 0.02, 0.41, 0.05, 0.03, 0.37],
            status: Status::Listening(State::Unsure),
            reason: Some(Reason::LowScore),
            genre: None,
            confidence: 0.39,
            ..live()
        }
    }

    pub fn provisional() -> ViewModel {
        ViewModel {
            status: Status::Listening(State::Provisional),
            scores: vec![0.02, 0.82, 0.01, 0.0, 0.0, 0.1, 0.0, 0.02, 0.01, 0.02],
            newest: vec![0.02, 0.82, 0.01, 0.0, 0.0, 0.1, 0.0, 0.02, 0.01, 0.02],
            genre: Some(1),
            confidence: 0.82,
            heard_s: 14.0,
            history: history(&[
                (3.0, None, 0.0, State::Warming),
                (11.0, Some(1), 0.8, State::Provisional),
            ]),
            ..live()
        }
    }

    pub fn silent() -> ViewModel {
        ViewModel {
            status: Status::Listening(State::Silent),
            genre: None,
            level_dbfs: -120.0,
            ..live()
        }
    }

    pub fn talk() -> ViewModel {
        ViewModel {
            status: Status::Listening(State::NotMusic),
            genre: None,
            ..live()
        }
    }

    pub fn warming() -> ViewModel {
        ViewModel {
            status: Status::Listening(State::Warming),
            scores: vec![0.0; 10],
            genre: None,
            heard_s: 1.2,
            history: Vec::new(),
            ..live()
        }
    }

    pub fn trouble() -> ViewModel {
        ViewModel {
            status: Status::Trouble(
                "Cannot load the model '/home/ada/models/clubs.safetensors': No such file or \
                 directory. Choose another under Settings."
                    .to_owned(),
            ),
            genre: None,
            dropped: 12_345,
            ..live()
        }
    }

    /// The readout is held.
    pub fn held() -> ViewModel {
        ViewModel {
            hold: true,
            ..live()
        }
    }

    /// The host is stopped.
    pub fn waiting() -> ViewModel {
        ViewModel {
            status: Status::NoAudio,
            genre: None,
            level_dbfs: -120.0,
            load: 0.0,
            ..live()
        }
    }

    pub fn bypassed() -> ViewModel {
        ViewModel {
            status: Status::Bypassed,
            ..waiting()
        }
    }

    /// A model with `n` labels.
    pub fn many(n: usize) -> ViewModel {
        ViewModel {
            labels: (0..n)
                .map(|index| format!("label number {index}"))
                .collect(),
            scores: (0..n).map(|index| 0.9 / (1.0 + index as f32)).collect(),
            genre: Some(0),
            confidence: 0.9,
            ..live()
        }
    }
}

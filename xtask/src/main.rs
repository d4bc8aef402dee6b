//! `cargo xtask bundle genrescope-plugin --release` makes the plugin bundles.

fn main() -> nice_plug_xtask::Result<()> {
    nice_plug_xtask::main()
}

#!/bin/sh
# Builds the documentation as a site with search, in target/site. Needs mdbook: cargo install mdbook --locked
# Links within it are checked by: cargo test --workspace --test documentation
set -eu
cd "$(dirname "$0")/.."
command -v mdbook >/dev/null || { echo "site.sh: mdbook is not installed; cargo install mdbook --locked" >&2; exit 1; }
# Pages link to models' cards, recipes, sources: a book knows what lies in its folder alone, so it gets a copy.
copy=target/site-source
rm -rf "$copy" target/site
mkdir -p "$copy"
for path in README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md RELEASE.md LICENSE-MIT LICENSE-APACHE \
    deny.toml .github/workflows docs examples fuzz/fuzz_targets models/*.md contrib packaging python plugin/core/src plugin/src scripts src tests train/recipes train/src train/tests benches; do
    mkdir -p "$copy/$(dirname "$path")"
    cp -R "$path" "$copy/$(dirname "$path")/"
done
mv "$copy/docs/book.toml" "$copy/"
sed -e 's|](\.\./|](|' -e 't' -e 's|](|](docs/|' "$copy/docs/SUMMARY.md" >"$copy/SUMMARY.md"
rm "$copy/docs/SUMMARY.md"
mdbook build "$copy"
mv "$copy/site" target/site
rm -rf "$copy"
# The first page is the one to start from.
echo '<meta http-equiv="refresh" content="0; url=docs/start.html">' >target/site/index.html
echo "target/site/index.html"

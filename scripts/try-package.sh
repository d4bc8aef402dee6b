#!/bin/sh
# Installs the packages of target/dist into a clean Debian, uses them there, takes them away again, and says what was seen and how
# long it took. Everything happens in a folder of its own, which is removed. Needs root, debootstrap and unzip.
#   scripts/try-package.sh             the .deb and the plugins
#   scripts/try-package.sh --scan      also lets a host, qtractor, look for the plugin (a hundred packages more)
# GENRESCOPE_MIRROR names the Debian mirror; GENRESCOPE_TREE a clean tree made by debootstrap, which is copied instead of making one.
set -eu
cd "$(dirname "$0")/.."
scan=no
case ${1:-} in
    "") ;;
    --scan) scan=yes ;;
    *) echo "try-package.sh: '$1' is no option; --scan is" >&2; exit 2 ;;
esac
fail() { echo "FAILED: $*" >&2; exit 1; }
seen() { printf '%-58s %s\n' "$1" "$2"; }
now() { date +%s.%N; }
since() { awk "BEGIN { printf \"%.1f s\", $(now) - $1 }"; }
# shellcheck disable=SC2015 # a test, and what is said when it fails
only() {
    [ $# -eq 1 ] && [ -f "$1" ] || fail "there must be one $1; run scripts/package.sh in an empty target/dist"
    echo "$1"
}
[ "$(id -u)" = 0 ] || fail "chroot and debootstrap need root"
for tool in debootstrap unzip; do
    command -v $tool >/dev/null || fail "$tool is not installed; it is a Debian package"
done
deb=$(only target/dist/genrescope_*.deb)
zip=$(only target/dist/genrescope-plugin-*.zip)
(cd target/dist && sha256sum --quiet -c SHA256SUMS) || fail "SHA256SUMS does not fit"

tree=$(mktemp -d)
chmod 755 "$tree"
trap 'umount "$tree/proc" 2>/dev/null || true; rm -rf "$tree"' EXIT
trap 'exit 1' INT TERM
within() { chroot "$tree" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@"; }
# What is there, without what apt and dpkg write down for themselves.
listing() { (cd "$tree" && find . -path ./proc -prune -o \( -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/cache -o -path ./var/log -o -path ./root/packages \) -prune -o -print | sort); }

start=$(now)
if [ -n "${GENRESCOPE_TREE:-}" ]; then
    cp -a "$GENRESCOPE_TREE/." "$tree/"
else
    debootstrap --variant=minbase bookworm "$tree" "${GENRESCOPE_MIRROR:-http://deb.debian.org/debian}" >"$tree.log" 2>&1 || { tail -5 "$tree.log" >&2; rm -f "$tree.log"; fail "debootstrap"; }
    rm -f "$tree.log"
fi
cp /etc/resolv.conf "$tree/etc/"
mount -t proc proc "$tree/proc" 2>/dev/null || true
within apt-get update -qq
seen "a clean Debian $(cat "$tree/etc/debian_version")" "$(since "$start")"
mkdir "$tree/root/packages"
cp "$deb" "$tree/root/packages/genrescope.deb"
listing >"$tree/root/packages/before"

start=$(now)
within apt-get install -y -qq --no-install-recommends /root/packages/genrescope.deb >"$tree/root/packages/log" 2>&1 || { cat "$tree/root/packages/log" >&2; fail "apt-get install"; }
seen "package installed; $(grep -c ^Unpacking "$tree/root/packages/log") with what it depends on" "$(since "$start")"
within genrescope demo --fast >"$tree/root/packages/demo" || fail "demo"
seen "from the package to the end of a demo" "$(since "$start")"
grep -q ' of .* heard as intended' "$tree/root/packages/demo" || fail "the demo says no verdict: $(tail -3 "$tree/root/packages/demo")"

start=$(now)
within genrescope demo --fast --styles hiphop --seconds 12 --wav /root/packages/song.wav >/dev/null
within genrescope classify --json /root/packages/song.wav >"$tree/root/packages/song.json" || fail "classify"
grep -q '"genre":"hiphop"' "$tree/root/packages/song.json" || fail "classify said $(cat "$tree/root/packages/song.json")"
within genrescope listen --input - --fast --json <"$tree/root/packages/song.wav" | tail -1 | grep -q '"type":"genre"' || fail "listen --input -"
seen "classify and listen --input - in there" "$(since "$start")"

files=$(within dpkg -L genrescope)
for file in /usr/bin/genrescope /usr/share/man/man1/genrescope-listen.1.gz /usr/lib/systemd/user/genrescope.service \
    /usr/share/bash-completion/completions/genrescope /usr/share/zsh/vendor-completions/_genrescope \
    /usr/share/fish/vendor_completions.d/genrescope.fish /usr/share/doc/genrescope/copyright; do
    echo "$files" | grep -qx "$file" || fail "the package has no $file"
done
echo "$files" | grep -q /usr/share/doc/genrescope/default.md || fail "the package has no model card"
echo "$files" | grep -q /usr/share/doc/genrescope/THIRD-PARTY || fail "the package has no notices of its crates"
within bash -n /usr/share/bash-completion/completions/genrescope || fail "completions of bash"
seen "manual pages, completions, unit, cards, notices" "$(echo "$files" | wc -l) entries"

# The plugin, as its installer lays it out. perl opens it as a host does: by dlopen, and asks for its entry.
listing >"$tree/root/packages/before-plugin"
unzip -q "$zip" -d "$tree/root/packages"
folder=/root/packages/$(basename "$zip" .zip)
# shellcheck disable=SC2016 # perl expands it
opens() { within perl -MDynaLoader -e 'my $l = DynaLoader::dl_load_file($ARGV[0], 0) or die DynaLoader::dl_error() . "\n"; DynaLoader::dl_find_symbol($l, $ARGV[1]) or die "$ARGV[0] has no $ARGV[1]\n"' "$1" "$2"; }
for way in "" --system; do
    # shellcheck disable=SC2086 # no word or one
    within sh "$folder/install.sh" $way >/dev/null
    clap=/root/.clap vst3=/root/.vst3
    [ -z "$way" ] || clap=/usr/lib/clap vst3=/usr/lib/vst3
    opens $clap/genrescope.clap clap_entry || fail "the CLAP does not load"
    library=$(cd "$tree" && echo .$vst3/genrescope.vst3/Contents/*-linux/genrescope.so)
    opens "${library#.}" GetPluginFactory || fail "the VST3 does not load"
    seen "installed, opened: $clap, $vst3" "yes"
    if [ $scan = yes ] && [ -z "$way" ]; then
        within apt-get install -y -qq --no-install-recommends qtractor >/dev/null 2>&1 || fail "qtractor cannot be installed"
        echo "clap:$clap/genrescope.clap" | within env QT_QPA_PLATFORM=offscreen sh -c '/usr/lib/*/qtractor/qtractor_plugin_scan' >"$tree/root/packages/scan" 2>/dev/null || true
        grep -qi genrescope "$tree/root/packages/scan" || fail "qtractor does not find the CLAP: $(cat "$tree/root/packages/scan")"
        seen "found by qtractor's scanner" "$(cut -d'|' -f2 "$tree/root/packages/scan" | head -1)"
        within apt-get purge -y -qq qtractor >/dev/null 2>&1
        within apt-get autoremove --purge -y -qq >/dev/null 2>&1
    fi
    # shellcheck disable=SC2086
    within sh "$folder/install.sh" $way --uninstall >/dev/null
done
listing >"$tree/root/packages/after-plugin"
[ $scan = yes ] || cmp -s "$tree/root/packages/before-plugin" "$tree/root/packages/after-plugin" ||
    fail "the installer leaves something: $(diff "$tree/root/packages/before-plugin" "$tree/root/packages/after-plugin" | grep '^[<>]')"
seen "plugins taken away again" "nothing is left"

within apt-get purge -y -qq genrescope >/dev/null 2>&1 || fail "apt-get purge"
within apt-get autoremove --purge -y -qq >/dev/null 2>&1
listing >"$tree/root/packages/after"
left=$(diff "$tree/root/packages/before" "$tree/root/packages/after" | grep '^>' | grep -v -e /etc/ld.so.cache || true)
[ $scan = yes ] || [ -z "$left" ] || fail "purge leaves $left"
! (cd "$tree" && find . -xdev -path ./root/packages -prune -o -iname '*genrescope*' -print | grep .) || fail "purge leaves files of that name"
seen "purged" "nothing is left"

// SPDX-License-Identifier: Apache-2.0

/**
 * What runs on the device while its own `perfetto` records: one shell command,
 * in mksh (Android's /system/bin/sh) or another shell whose `read` knows -t.
 *
 * It must not be possible to leave a tracing session or its file behind:
 * - The session lives as long as the `perfetto` process: the tracing service
 *   drops it when the connection of its consumer ends, whatever ended it. (That
 *   is why it is not started with --background or --detach.)
 * - This shell stops that process when it is told to, when its stream hangs up
 *   (end of file, or SIGHUP of the pty that adbd gives an `exec:` command), and
 *   when the host has not said `beat` for 15 s, which is how it finds out about
 *   a host that lost power or a network that was cut.
 * - The shell itself may be killed: then the SIGHUP that follows the end of a
 *   pty's session leader ends `perfetto`, and duration_ms is the last resort.
 * - The file's name is removed as soon as the file is open for reading, a tenth
 *   of a second after it was made. Its space is free when the last of us ends.
 *
 * Android's policy lets a shell send `perfetto` signals, but neither SIGKILL nor
 * signal 0 (system/sepolicy, private/shell.te: `allow shell perfetto:process
 * signal`). So /proc tells whether it lives, and one that does not hear SIGTERM
 * gets SIGHUP, which it does not catch.
 *
 * A file, and not `-o -`: a reader that is slow would hold up the service's
 * only thread.
 *
 * After the line `perfetto-dmabuf system trace VERSION PID` the host sends a
 * line `NONCE FILE`. From then on lines of ours begin with `@NONCE `; all others
 * are what `perfetto` says on stderr. A NUL byte between them is its word that
 * all data sources have started, where it has --notify-fd (since v54).
 *
 * | our line             | meaning                                           |
 * |----------------------|---------------------------------------------------|
 * | `missing`            | there is no `perfetto`; the shell ends            |
 * | `have NOTIFY RSS VERSION` | what there is: NOTIFY 1: with --notify-fd, RSS
 *   1: the kernel has /proc/PID/dmabuf_rss                                    |
 * | `running [PATH]`     | the file is open, tracing begins; PATH: its name
 *   could not be removed                                                      |
 * | `failed STATUS`      | `perfetto` ended before that; the shell ends      |
 * | `unreadable`         | its file cannot be read; the shell ends           |
 * | `size BYTES`, `ended BYTES` | answers a `beat`: it runs, or it has ended |
 * | `trace STATUS BYTES` | so many bytes follow, and then `\n@NONCE end\n`   |
 *
 * The host answers `have` with the configuration and a line `NONCE`, and then
 * sends `beat` every second or so, and `stop` at last.
 */

export const SYSTEM_TRACE_VERSION = 1;

export const SYSTEM_TRACE_SCRIPT = String.raw`
exec 2>/dev/null
LC_ALL=C; export LC_ALL; unset TMOUT; set -f
NL='
'
case $KSH_VERSION in
?*) put() { print -r -- "$1"; } ;;
*) put() { printf '%s\n' "$1"; } ;;
esac
say() { put "@$K $*"; }
put "perfetto-dmabuf system trace ${SYSTEM_TRACE_VERSION} $$"
read -r K T || exit
D=/data/misc/perfetto-traces
[ -d $D ] || D=/data/local/tmp
[ -d $D ] || D=/tmp
O=$D/perfetto-dmabuf-$T.pftrace
case $(command -v perfetto) in '') say missing; exit ;; esac
case $(perfetto --help 2>&1) in *--notify-fd*) N=1 ;; *) N=0 ;; esac
[ -e /proc/$$/dmabuf_rss ] && R=1 || R=0
say have $N $R "$(perfetto --version 2>&1)"
C=
while :; do
  IFS= read -r L || exit
  [ "$L" = "$K" ] && break
  C=$C$L$NL
done
P=
lives() { [ -d /proc/$P ]; }
halt() {
  kill -TERM $P; I=0
  while lives && [ $I -lt 300 ]; do sleep 0.1; I=$((I+1)); done
  lives && kill -HUP $P
  wait $P; S=$?
}
size() { stat -L -c %s /proc/$$/fd/3; }
trap 'rm -f "$O"' EXIT
trap '[ -n "$P" ] && kill -TERM $P; exit 1' HUP INT TERM
case $N in
1) put "$C" | perfetto -c - --txt -o "$O" --notify-fd 4 4>&1 2>&1 & ;;
*) put "$C" | perfetto -c - --txt -o "$O" 2>&1 & ;;
esac
P=$!; I=0
while [ ! -e "$O" ] && lives && [ $I -lt 300 ]; do sleep 0.1; I=$((I+1)); done
if [ ! -e "$O" ]; then halt; say failed $S; exit; fi
if [ ! -r "$O" ]; then halt; say unreadable; exit; fi
exec 3<"$O"
rm -f "$O"
[ -e "$O" ] && say running "$O" || say running
M=0
while [ $M -lt 3 ]; do
  L=
  if read -r -t 5 L; then
    M=0
    case $L in
    stop) break ;;
    beat) lives && say size $(size) || say ended $(size) ;;
    esac
  else M=$((M+1)); fi
done
halt
[ $M -lt 3 ] || exit
say trace $S $(size)
cat <&3
put "$NL@$K end"
`.trim();

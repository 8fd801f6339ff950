// SPDX-License-Identifier: Apache-2.0

/**
 * What runs on the device: one shell command for a whole recording.
 *
 * It reads one request a line on stdin and answers each with one frame on
 * stdout, so the host paces it and decides what is worth reading. It ends by
 * itself when the host goes away (end of file, or SIGHUP of the pty that adbd
 * gives an `exec:` command). Nothing is written to the device.
 *
 * It needs mksh (Android's /system/bin/sh) or a POSIX shell, and of toybox or
 * coreutils only find, stat, grep (and tr where the shell is not mksh). Reading a file is a shell builtin in
 * mksh, and no command is started per fd or per file: on a device an exec
 * costs as much as reading a hundred fds.
 *
 * After the line `perfetto-dmabuf collector VERSION PID` the host sends a
 * nonce, over stdin and not on the command line, where any process could read
 * it and forge a frame with a buffer's name. Frame:
 * `@NONCE SEQ STATUS LENGTH\n`, LENGTH bytes, `\n=NONCE SEQ STATUS LENGTH\n`.
 *
 * Requests (`SEQ STEP [ARGUMENT...]`):
 *
 * | step | body |
 * |---|---|
 * | `clock` | `REALTIME UPTIME REALTIME`, then the shell's /proc/PID/stat |
 * | `tick` | `UPTIME REALTIME UPTIME REALTIME` around ticks of /proc/uptime |
 * | `file PATH` | the file's text; status 0 where it could be opened |
 * | `list GLOB` | the paths that match, one a line |
 * | `fds [PID...]` | `INODEPATH` of each fd that can be a dma-buf |
 * | `links [PID...]` | the same, for each fd whose link says it is one |
 * | `counts` | `INODE SIZE PATH` of each /proc/PID/fd: its size is the number of
 *   fds since 6.2, and another inode means another process |
 * | `maps [PID...]` | `PATH:LINE` for each dma-buf line of /proc/PID/maps |
 * | `tables [PID...]` | as `counts`, of each /proc/PID/task/TID/fd |
 * | `tablefds PID/TID...` | as `fds`, of /proc/PID/task/TID/fd |
 * | `mapfiles PID/RANGE...` | as `counts`, of /proc/PID/map_files/RANGE |
 * | `stat PATH...` | `INODE SIZE PATH` of what each path leads to |
 * | `slurp PATH...` | for each file that is not empty `PATH LENGTH\nTEXT\n`;
 *   of a text with NUL bytes what is before the first, or with
 *   newlines for them |
 * | `exist PATH...` | the paths that exist, one a line |
 * | `grep GLOB` | `PATH:LINE` for each line of the files that match |
 * | `props NAME...` | `NAME=VALUE` of Android properties, one a line |
 * | `end` | stops the collector |
 *
 * Steps that walk /proc end their body with a line `-NONCE STATUS`, the exit
 * status of the command that walked, and what it said on stderr: processes
 * that vanished or refused. From 126 on it was not started, or killed.
 *
 * `fds` follows each link and keeps what has a size and is neither a regular
 * file nor something else with a type: a dma-buf's inode has no type bits
 * (alloc_anon_inode; seen on 5.10 to 7.3). That costs one stat per fd, where
 * matching the link's text costs an lstat, a readlink and a stat, and it
 * needs no `find -lname`, which toybox has only since 0.8.6. Its lines are as
 * they are because toybox writes each directive of -printf by itself, and a
 * write is what a line costs.
 */

const D = '$';

export const COLLECTOR_VERSION = 1;

export const COLLECTOR_SCRIPT = String.raw`
exec 2>/dev/null
LC_ALL=C; export LC_ALL; unset TMOUT; set -f
P=/proc; NL='
'
case $KSH_VERSION in
?*) set +U
  put() { print -r -- "$1"; }
  slurp() { R=; C=
    while IFS= read -r -N 1048576 C; do R=$R$C; done <"$1" || return
    R=$R$C; } ;;
*) put() { printf '%s\n' "$1"; }
  slurp() { R=$(tr '\000' '\n' <"$1" && echo x) || return; R=${D}{R%x}; } ;;
esac
case $EPOCHREALTIME in
*.*) now() { T=$EPOCHREALTIME; } ;;
*) now() { T=$(date +%s.%N); } ;;
esac
glob() { set +f; R=$(echo $1); set -f; }
dirs() { W=; case $# in
  1) set +f; for i in $P/[0-9]*; do W="$W $i/$1"; done; set -f ;;
  *) S=$1; shift; for i in "$@"; do W="$W $P/$i/$S"; done ;;
  esac; }
under() { S=$1; W=; shift
  for i in "$@"; do W="$W $P/${D}{i%/*}/$S/${D}{i#*/}$L"; done; }
both() { R=$( { E=$("$@" 2>&1 >&3 3>&-); } 3>&1; put "-$K $?"; put "$E"); }
walk() { both find -L $W -maxdepth 1 -size +0c ! -type f ! -type d -printf '%i' -print; }
do_clock() { now; A=$T; read -r U <$P/uptime; now; slurp $P/$$/stat
  R="$A ${D}{U%% *} $T$NL$R"; }
do_tick() { O=; N=0; J=0; now; A=$T; read -r V I <$P/uptime; now; Z=$T
  while [ $N -lt 3 ] && [ $J -lt 4000 ]; do
    J=$((J+1)); read -r U I <$P/uptime; now
    case $U in
    "$V") A=$Z ;;
    *) O="$O$V $A $U $T$NL"; V=$U; A=$Z; N=$((N+1)) ;;
    esac; Z=$T
  done; R=$O; }
do_file() { slurp "$1"; }
do_list() { set +f; R=; for i in $1; do R="$R$i$NL"; done; set -f; }
do_fds() { dirs fd "$@"; walk; }
do_links() { dirs fd "$@"
  both find $W -lname '/dmabuf*' -exec stat -L -c '%i%n' {} +; }
do_counts() { dirs fd "$@"; both stat -c '%i %s %n' $W; }
do_maps() { dirs maps "$@"; both grep -HF /dmabuf $W; }
do_tables() { dirs 'task/[0-9]*/fd' "$@"; glob "$W"; both stat -c '%i %s %n' $R; }
do_tablefds() { L=/fd; under task "$@"; walk; }
do_mapfiles() { L=; under map_files "$@"; both stat -L -c '%i %s %n' $W; }
do_stat() { both stat -L -c '%i %s %n' "$@"; }
do_slurp() { O=; for i in "$@"; do
    slurp "$i" && [ -n "$R" ] && O="$O$i ${D}{#R}$NL$R$NL"; done; R=$O; }
do_exist() { O=; for i in "$@"; do [ -e "$i" ] && O="$O$i$NL"; done; R=$O; }
do_grep() { glob "$1"; both grep -H '' $R; }
do_props() { O=; for i in "$@"; do O="$O$i=$(getprop "$i")$NL"; done; R=$O; }
put "perfetto-dmabuf collector ${COLLECTOR_VERSION} $$"
read -r K || exit
while read -r Q X Y; do
  R=
  case $X in
  clock|tick|file|list|fds|links|counts|maps|tables|tablefds|mapfiles|stat|slurp|exist|grep|props)
    do_$X $Y; C=$? ;;
  end) exit 0 ;;
  *) C=127 ;;
  esac
  H="$K $Q $C ${D}{#R}"
  put "@$H$NL$R$NL=$H"
done
`.trim();

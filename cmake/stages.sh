# shellcheck shell=bash
# Sourced by the scripts that run the checks: stages with their times, for a summary at the end.

# One line for each stage so far. Exported: a script that another one runs continues its list.
export TANDEM_STAGES="${TANDEM_STAGES-}"

# stage NAME COMMAND...    runs the command without input; notes how long it took
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  echo "== $name =="
  "$@" </dev/null || status=$?
  note_stage "$name" "$((SECONDS - start)) s$( ((status == 0)) || echo ', FAILED')"
  return "$status"
}

# note_stage NAME WHAT    a line of the summary
note_stage() {
  TANDEM_STAGES+=$(printf '%-18s %s' "$1" "$2")$'\n'
}

print_stages() { printf '\n%s' "$TANDEM_STAGES"; }

# The pages, and the headers as their users see them, for Doxygen. What is left out of a header becomes an empty line, so that warnings name the
# right one. Left out are
#
#   - the pages of the headers in detail/, some of which define names that are public;
#   - namespace detail, but for the bases of public classes, whose members are the interface of those;
#   - what follows "// For the library", and how handles cross (save, detail_decode), up to an empty line;
#   - protected members: no class is meant to be derived from;
#   - special members that are defaulted or deleted without a word on them;
#   - the names that the standard wants of every container, and inherited constructors.

function braces(line, n) {
  sub(/\/\/.*/, "", line)
  gsub(/'[{}]'/, "", line)
  n = gsub(/{/, "", line)
  return n - gsub(/}/, "", line)
}

FNR == 1 {
  top = 0
  header = FILENAME ~ /\.hpp$/
  internal = FILENAME ~ /\/detail\//
  bases = FILENAME ~ /\/(connection_end|manager_proxy|queue_proxy)\.hpp$/
}

# On a page a link to what is no page of the site is only its text.
!header {
  while (match($0, /\[[^]]*\]\([^):]*(\.cpp|\.hpp|examples|benchmarks\/runs|LICENSE)\)/)) {
    link = substr($0, RSTART + 1, RLENGTH)
    sub(/\].*/, "", link)
    $0 = substr($0, 1, RSTART - 1) link substr($0, RSTART + RLENGTH)
  }
  print
  next
}

internal && /^\/\/\/ / && FNR == ++top { print ""; next }

/^namespace (tandem::)?detail \{/ && !bases { in_detail = 1; depth = 0 }
in_detail {
  depth += braces($0)
  if (depth == 0) in_detail = 0
  print ""
  next
}

/^ *\/\/ For the library/ || /^  (\[\[nodiscard\]\] )?(static )?[A-Za-z]+ (save|detail_decode)\(/ { hidden = 1 }
/^$/ { hidden = 0 }
/^ (private|protected|public):/ || /^};/ { hidden = 0; protected = /protected/ }
(hidden || protected) { print ""; next }

/ = (default|delete);$/ && last !~ /^ *\/\/\// { last = $0; print ""; next }
/^ +using (TandemHandle|[a-z]+_type|(const_)?iterator|iterator_concept) = / { last = $0; print ""; next }

/^ +using [A-Za-z:<>]+::[A-Za-z]+;$/ { last = $0; print ""; next }

# Doxygen puts a parameter's default in the place of the parameter in inherited members.
/^template <class Send, class Recv = Send>$/ && FILENAME ~ /\/connection\.hpp$/ { sub(/ = Send/, "") }

{ last = $0; print }

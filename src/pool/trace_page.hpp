// trace.html as text.
#pragma once

#include <string_view>

namespace tandem::detail {

inline constexpr std::string_view kTracePlace = "@@TRACE@@";  // where in the page the rows go
extern const std::string_view trace_page;

}  // namespace tandem::detail

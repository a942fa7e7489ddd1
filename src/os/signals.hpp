// Signal dispositions.
#pragma once

namespace tandem::os {

/// Makes SIGINT do nothing in this process. A handler, not SIG_IGN, which would survive exec; calls
/// that can be restarted are.
void ignore_interrupts();

}  // namespace tandem::os

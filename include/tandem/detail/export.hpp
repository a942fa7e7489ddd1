/// \file
/// TANDEM_EXPORT marks what the shared library shows; everything else is hidden.
#pragma once

#define TANDEM_EXPORT __attribute__((visibility("default")))

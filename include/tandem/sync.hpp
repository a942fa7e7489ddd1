/// \file
/// Everything that processes synchronise by.
#pragma once

#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/rlock.hpp"

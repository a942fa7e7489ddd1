/// \file
/// Everything that processes synchronise by.
#pragma once

#include "tandem/barrier.hpp"
#include "tandem/condition.hpp"
#include "tandem/event.hpp"
#include "tandem/lock.hpp"
#include "tandem/rlock.hpp"
#include "tandem/semaphore.hpp"

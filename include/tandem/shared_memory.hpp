/// \file
/// Everything that processes share memory by: SharedMemory, Value, Array and SharedHeap. Each has a
/// header of its own; that of SharedHeap brings Boost's containers along.
#pragma once

#include "tandem/array.hpp"
#include "tandem/memory.hpp"
#include "tandem/shared_heap.hpp"
#include "tandem/value.hpp"

# Checks the #include directives of the library against its layers. What may include what:
#
#   base < os < shm < sync < transport < process, queue < manager < pool < tools
#
#   - the system's own headers only in src/os, <unistd.h> in src/base, where the log writes, and
#     src/tools, a program of its own, of which the library contains nothing;
#   - Boost only in src/shm and in SharedHeap's header;
#   - OpenSSL only in src/transport;
#   - the pool only what a pool of a user's could: public headers; and src/base and src/os, since system
#     calls are in no other place;
#   - every public header is listed in include/CMakeLists.txt.

cmake_minimum_required(VERSION 3.25)

set(below_base base)
set(below_os base os)
set(below_shm base os shm)
set(below_sync base os shm sync)
set(below_transport base os shm sync transport)
set(below_process base os shm sync transport process)
set(below_queue base os shm sync transport queue)
set(below_manager base os shm sync transport process queue manager)
set(below_pool base os pool)
set(below_tools base os shm sync transport process queue manager pool tools)

# Those headers in tandem/detail that a pool may use: how values and calls are encoded, time, the log.
set(pool_details archive buffer call codec context deadline exception export fd fingerprint log
  message)

string(CONCAT system_header "^(sys|linux|asm|netinet|arpa|net)/|^(pthread|unistd|fcntl|signal|poll|"
  "sched|spawn|semaphore|mqueue|dlfcn|link|elf|netdb|termios|syscall|syslog|pwd|dirent)\\.h$")

set(violations "")
macro(violation text)
  list(APPEND violations "${file}: ${text}")
endmacro()

# Sets `includes` to what `file` includes, without the brackets or quotes.
macro(read_includes)
  file(STRINGS ${root}/${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
  set(includes "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*)[>\"].*" "\\1" included "${line}")
    list(APPEND includes "${included}")
  endforeach()
endmacro()

file(GLOB_RECURSE sources RELATIVE ${root} ${root}/src/*.hpp ${root}/src/*.cpp)
list(LENGTH sources number_of_sources)
if(number_of_sources EQUAL 0)
  message(FATAL_ERROR "There is nothing to check in ${root}/src.")
endif()
foreach(file IN LISTS sources)
  string(REGEX REPLACE "^src/([^/]*)/.*" "\\1" layer ${file})
  if(NOT DEFINED below_${layer})
    violation("is in none of the layers")
    continue()
  endif()
  read_includes()
  foreach(included IN LISTS includes)
    if(included MATCHES "${system_header}")
      if(NOT layer MATCHES "^(os|tools)$" AND NOT "${layer} ${included}" STREQUAL "base unistd.h")
        violation("<${included}> belongs in src/os")
      endif()
    elseif(included MATCHES "^boost/")
      if(NOT layer STREQUAL "shm")
        violation("<${included}> belongs in src/shm")
      endif()
    elseif(included MATCHES "^openssl/")
      if(NOT layer STREQUAL "transport")
        violation("<${included}> belongs in src/transport")
      endif()
    elseif(included MATCHES "^tandem/")
      if(layer STREQUAL "pool" AND included MATCHES "^tandem/detail/(.*)\\.hpp$")
        if(NOT CMAKE_MATCH_1 IN_LIST pool_details AND NOT CMAKE_MATCH_1 MATCHES "^pool_|_pool$")
          violation("\"${included}\" is a private door of another layer")
        endif()
      endif()
    elseif(included MATCHES "^([a-z]+)/[^/]*\\.hpp$")
      if(NOT CMAKE_MATCH_1 IN_LIST below_${layer})
        violation("\"${included}\" is not below ${layer}")
      endif()
    endif()
  endforeach()
endforeach()

file(READ ${root}/include/CMakeLists.txt listed)
file(GLOB_RECURSE headers RELATIVE ${root} ${root}/include/*.hpp)
foreach(file IN LISTS headers)
  read_includes()
  foreach(included IN LISTS includes)
    if(included MATCHES "${system_header}")
      violation("<${included}> in a public header")
    elseif(included MATCHES "^boost/" AND NOT file MATCHES "shared_heap")
      violation("<${included}> in a public header other than SharedHeap's")
    elseif(included MATCHES "^([a-z]+)/[^/]*\\.hpp$" AND DEFINED below_${CMAKE_MATCH_1})
      violation("\"${included}\" of src/ in a public header")
    endif()
  endforeach()
  string(REPLACE "include/" "" name ${file})
  string(FIND "${listed}" "${name}" position)
  if(position EQUAL -1)
    violation("is missing in include/CMakeLists.txt, so it would not be installed")
  endif()
endforeach()

if(violations)
  list(JOIN violations "\n  " report)
  message(NOTICE "  ${report}")
  message(FATAL_ERROR "These includes cross the layers.")
endif()

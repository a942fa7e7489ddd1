# What the shared library shows. It is the one that package.add_subdirectory has built.
#
#   - Functions, variables, run-time types and tables of classes in the namespace tandem, and nothing else: not one
#     instance of a template of the standard library's, Boost's or cereal's, weak ones included, since a program that
#     has its own would exchange them for those (cmake/tandem.map).
#   - All that programs need of it: what the objects of the examples and of most tests leave undefined.

include(${CMAKE_CURRENT_LIST_DIR}/functions.cmake)

if(NOT tandem_version MATCHES "^([0-9]+\\.[0-9]+)\\.[0-9]+$")
  message(FATAL_ERROR "What version is '${tandem_version}'?")
endif()
set(soname libtandem.so.${CMAKE_MATCH_1})
ask(dynamic ${readelf} -d ${library})
if(NOT dynamic MATCHES "SONAME[^\n]*\\[(libtandem[^]\n]*)\\]" OR NOT CMAKE_MATCH_1 STREQUAL soname)
  message(FATAL_ERROR "The shared library should call itself ${soname}.")
endif()
cmake_path(REPLACE_FILENAME library ${soname} OUTPUT_VARIABLE link)
if(NOT EXISTS ${link} OR NOT EXISTS ${library}.${tandem_version})
  message(FATAL_ERROR "There is no ${link}, or no ${library}.${tandem_version}.")
endif()

# Sets `result` to the names, mangled, of those symbols of some files that are of the types.
function(symbols result types)
  execute_process(COMMAND ${nm} --format=posix ${ARGN} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" lines "${output}")
  list(FILTER lines INCLUDE REGEX "^[^ ]+ [${types}]( |$)")
  list(TRANSFORM lines REPLACE " .*" "")
  set(${result} "${lines}" PARENT_SCOPE)
endfunction()

# Complains of the names, if there are any.
function(expect_none what)
  if(ARGN)
    list(JOIN ARGN "\n  " names)
    message(FATAL_ERROR "${what} (c++filt makes them readable):\n  ${names}")
  endif()
endfunction()

symbols(shown "A-Za-z" -D --defined-only ${library})
set(foreign ${shown})
list(FILTER foreign EXCLUDE REGEX "^_ZNK?6tandem|^_ZT[ISV]N6tandem")
expect_none("The shared library shows what is not its own" ${foreign})

# The objects of programs: of the examples, and of those tests that include nothing of src/.
set(objects "")
file(GLOB sources ${tandem_source}/examples/*.cpp ${tandem_source}/examples/tutorial/*.cpp
     ${tandem_source}/tests/unit/*.cpp ${tandem_source}/tests/process/*.cpp)
foreach(source IN LISTS sources)
  file(STRINGS ${source} inner REGEX "^#include \"")
  list(FILTER inner EXCLUDE REGEX "\"(tandem|support)/")
  if(NOT inner)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${tandem_source} OUTPUT_VARIABLE file)
    cmake_path(GET file PARENT_PATH directory)
    cmake_path(GET file FILENAME file)
    file(GLOB object ${tandem_build}/${directory}/CMakeFiles/*.dir/${file}.o)
    list(APPEND objects ${object})
  endif()
endforeach()
if(NOT objects)
  message(FATAL_ERROR "Nothing is built that could say which symbols programs need.")
endif()
symbols(needed "U" ${objects})
symbols(defined "A-TV-Za-tv-z" --defined-only ${objects})
list(REMOVE_DUPLICATES needed)
list(FILTER needed INCLUDE REGEX "^_Z(N|NK|T[A-Z]N)6tandem")
# Namespaces that no public header has: what is there comes with the support of the tests.
list(FILTER needed EXCLUDE REGEX "^_Z[A-Z]+6tandem(2os|3shm|4base|4sync|4test|9transport)[0-9]")
list(REMOVE_ITEM needed ${defined})
list(LENGTH needed number)
message("Programs need ${number} symbols.")
if(number LESS 100)
  message(FATAL_ERROR "So few? Are the examples and the tests built?")
endif()
list(REMOVE_ITEM needed ${shown})
expect_none("Programs need what the shared library does not show" ${needed})
